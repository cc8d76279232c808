"""TrainConfig and GenerateConfig: rules between sections."""

from typing import Any

import pytest

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.keys import fields_of
from gpt2hydra.config.run import GenerateConfig, TrainConfig


def test_defaults_are_valid() -> None:
    assert TrainConfig().model.n_embd == 768
    assert GenerateConfig(checkpoint="x").top_k == 50


@pytest.mark.parametrize(
    ("given", "key", "rule"),
    [
        pytest.param({"training": {"seq_len": 1025}}, "training.seq_len", "must be ≤ model.n_positions = 1024", id="seq_len"),
        pytest.param(
            {"model": {"vocab_size": 256}},
            "model.vocab_size",
            "must be ≥ 257, the symbols of tokenizer.name = bytes",
            id="bytes",
        ),
        pytest.param(
            {"tokenizer": {"name": "gpt2"}},
            "tokenizer.path",
            "must be given for tokenizer.name = gpt2: a folder with vocab.json and merges.txt, or a hub name",
            id="bpe without files",
        ),
        pytest.param(
            {"training": {"min_learning_rate_ratio": 1.5}},
            "training.min_learning_rate_ratio",
            "must be ≥ 0 and ≤ 1",
            id="a rate that rises",
        ),
        pytest.param(
            {"training": {"max_steps": 10}}, "training.warmup_steps", "must be ≤ training.max_steps = 10", id="warm-up"
        ),
        pytest.param({"preflight": "never"}, "preflight", "must be one of strict, skip_invalid, off", id="preflight"),
    ],
)
def test_rules_between_keys(given: dict[str, Any], key: str, rule: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig.from_dict(given)
    assert [(violation.key, violation.rule) for violation in caught.value.violations] == [(key, rule)]


def test_remedies_are_accepted() -> None:
    broken: dict[str, dict[str, object]] = {"model": {"vocab_size": 200, "n_positions": 64}}
    broken |= {"training": {"max_steps": 50}}
    with pytest.raises(ConfigError) as caught:
        TrainConfig.from_dict(broken)
    for violation in caught.value.violations:
        for dotted, value in violation.remedy.items():
            section, _, key = dotted.partition(".")
            broken.setdefault(section, {})[key] = value
    assert TrainConfig.from_dict(broken).training.seq_len == 64


def test_every_field_has_a_description() -> None:
    for config_class in (TrainConfig, GenerateConfig):
        for field in fields_of(config_class):
            assert field.metadata["doc"]
