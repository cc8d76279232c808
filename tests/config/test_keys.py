"""The keys of a configuration class, by dotted name."""

import pytest

from gpt2hydra import GPT2Config, TrainConfig
from gpt2hydra.config.keys import default_of, field_at, fields_of, keys_of, leaves, sort_key


def test_every_key_has_a_field_and_a_place_in_order() -> None:
    keys = list(keys_of(TrainConfig))
    assert all(field_at(TrainConfig, key) is not None for key in keys)
    assert sorted(keys, key=lambda key: sort_key(TrainConfig, key)) == keys
    assert "model.n_embd" in keys
    assert "model.n_inner" not in keys


@pytest.mark.parametrize("key", ["", "modle", "model.n_hed", "model.n_head.x", "dry_run.x", "model."])
def test_a_key_that_is_not_there_has_no_field(key: str) -> None:
    assert field_at(TrainConfig, key) is None or key == "model."
    assert sort_key(TrainConfig, key) >= sort_key(TrainConfig, "model")


def test_leaves_and_defaults_agree() -> None:
    shape = {each.name: default_of(each) for each in fields_of(GPT2Config)} | {"n_inner": 3072}
    assert dict(leaves(GPT2Config())) == shape
    assert dict(leaves({"a": {"b": 1}, "c": GPT2Config()})) == {"a.b": 1} | {
        f"c.{key}": each for key, each in leaves(GPT2Config())
    }
    assert default_of(fields_of(GPT2Config)[0]) == 50257
