"""The gate over configs that were composed, and over any others."""

from dataclasses import dataclass
from typing import Any

import pytest
from omegaconf import OmegaConf

import gpt2hydra
from gpt2hydra import ConfigError, GenerateConfig, GPT2Config, TrainConfig, instantiate
from gpt2hydra.composition.schema import schema_of
from gpt2hydra.composition.validate import config_class_of
from gpt2hydra.config.fields import computed, number, text
from gpt2hydra.config.validation import Checked


@dataclass(frozen=True)
class Scaled(Checked):
    alpha: float = number(4.0, "alpha", above=0)
    half: float = computed(lambda alpha: alpha / 2, "alpha / 2", "alpha")
    label: str = computed(lambda alpha, half: f"{alpha:g}, {half:g}", "both", "alpha", "half")
    name: str = text("x", "a name")


def test_values_are_computed_of_any_kind_and_of_one_another() -> None:
    composed = OmegaConf.structured(schema_of(Scaled))
    composed.alpha = 3.0
    assert instantiate(composed) == Scaled(alpha=3.0)
    assert (Scaled(alpha=3.0).half, Scaled(alpha=3.0).label) == (1.5, "3, 1.5")


def test_a_wrong_input_is_reported_and_not_what_follows_from_it() -> None:
    composed = OmegaConf.structured(schema_of(Scaled))
    composed.alpha, composed.name = -3.0, "${alpha}"
    with pytest.raises(ConfigError) as caught:
        instantiate(composed)
    assert [violation.key for violation in caught.value.violations] == ["alpha"]


def test_a_computed_value_must_agree() -> None:
    assert Scaled.from_dict({"alpha": 3, "half": 1.5}) == Scaled(alpha=3.0)
    with pytest.raises(ConfigError, match=r"half = 1\n    is computed \(alpha / 2\): 1.0 for alpha = 2.0; it cannot be set"):
        Scaled.from_dict({"alpha": 2, "half": 1})


@pytest.mark.parametrize("config_class", [GPT2Config, TrainConfig, GenerateConfig, Scaled])
def test_a_composed_config_knows_its_class(config_class: type[Checked]) -> None:
    assert config_class_of(OmegaConf.structured(schema_of(config_class))) is config_class


def test_the_class_of_any_other_config_is_the_one_most_like_it() -> None:
    assert config_class_of(OmegaConf.create({"n_embd": 64, "n_head": 4})) is GPT2Config
    assert config_class_of(OmegaConf.create({"prompt": "To be", "checkpoint": "x"})) is GenerateConfig
    assert config_class_of(OmegaConf.create({"path": "x", "name": "gpt2"})).__name__ == "TokenizerConfig"


@pytest.mark.parametrize("override", ["model.n_inner=3072", "++model.n_inner=3072", "model.n_inner=5"])
def test_a_computed_value_cannot_be_set_even_to_the_right_value(override: str) -> None:
    with pytest.raises(ConfigError, match=r"model\.n_inner = .*\n    is computed \(4 \* n_embd\).*it cannot be set") as caught:
        gpt2hydra.compose("train", [override])
    assert len(caught.value.violations) == 1


def test_several_sections_become_a_tuple() -> None:
    config = OmegaConf.create({"model": {"n_layer": 2}, "scaled": {"alpha": 3.0}})
    config.teacher = OmegaConf.structured(schema_of(GPT2Config))
    assert instantiate(config.model, config.teacher) == (GPT2Config(n_layer=2), GPT2Config())
    assert instantiate(config.model, config.teacher, config_class=GPT2Config) == (GPT2Config(n_layer=2), GPT2Config())
    assert instantiate(config.scaled, Scaled) == instantiate(config.scaled, config_class=Scaled) == Scaled(alpha=3.0)


def test_violations_of_several_sections_are_one_report() -> None:
    config = OmegaConf.create({"model": {"n_head": 7}, "right": {"n_layer": 2}, "teacher": {"n_layer": 0, "n_hed": 3}})
    with pytest.raises(ConfigError) as caught:
        instantiate(config.model, config.right, config.teacher)
    assert [violation.key for violation in caught.value.violations] == ["model.n_head", "teacher.n_layer", "teacher.n_hed"]
    assert caught.value.violations[0].remedy == {"model.n_head": 6}


@pytest.mark.parametrize("other", [None, {"n_layer": 2}, [OmegaConf.create({})]])
def test_a_value_that_is_no_mapping_is_no_section(other: Any) -> None:
    with pytest.raises(TypeError, match=r"as instantiate\(cfg.model, cfg.teacher\), not"):
        instantiate(OmegaConf.create({"n_layer": 2}), other)
