"""References and numbers of values that no class describes."""

import pytest

from gpt2hydra.composition.fold import Fold
from gpt2hydra.composition.layers import layer_of
from gpt2hydra.composition.untyped import KnownKeys
from gpt2hydra.config.errors import Source

VALUES = {
    "a": {"b": 1, "null": None, "open": "???", "to": "${c}", "any": "${f:x}"},
    "c": {"d": [1, {"e": 2}]},
    "loop": "${loop}",
}


@pytest.mark.parametrize("text", ["a", "a.b", "a.null.x", "a.open.x", "a.to.d", "a.any.x", "c.d.0", "c.d[1].e", "loop"])
def test_a_reference_that_finds_something_or_may_is_not_missing(text: str) -> None:
    assert missing(f"${{{text}}}") == []


@pytest.mark.parametrize("text", ["b", "a.x", "a.b.x", "a.to.x", "c.d.2", "c.d.1.f"])
def test_a_reference_to_no_key_is_missing(text: str) -> None:
    key = text.replace("[", ".").replace("]", "")
    assert missing(f"{{}} ${{f:${{{text}}}}}") == [key] == missing([0, {"x": f"${{{text}}}"}])
    assert missing(f"\\${{{text}}}") == []


def missing(value: object) -> list[str]:
    folded = Fold()
    folded.merge((), layer_of({**VALUES, "here": value}, Source("file", "x.yaml", 1)))
    return [".".join(each.target) for each in KnownKeys(folded).missing()]
