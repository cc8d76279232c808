"""Values that cannot change."""

import copy
import pickle

from gpt2hydra.utils.immutable import FrozenDict, freeze


def test_lists_become_tuples_and_dictionaries_cannot_change() -> None:
    frozen = freeze({"a": [1, {"b": [2]}], "c": "text"})
    assert frozen == {"a": (1, {"b": (2,)}), "c": "text"}
    assert isinstance(frozen, FrozenDict) and not hasattr(frozen, "__setitem__")
    assert repr(frozen) == "{'a': (1, {'b': (2,)}), 'c': 'text'}"


def test_an_immutable_mapping_is_hashed_pickled_and_copied() -> None:
    frozen = freeze({"a": [1], "b": {}})
    assert hash(frozen) == hash(freeze({"b": {}, "a": [1]}))
    assert pickle.loads(pickle.dumps(frozen)) == copy.deepcopy(frozen) == frozen
