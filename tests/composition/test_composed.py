"""Plain values are set over a composed choice of options, and taken back."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from gpt2hydra.composition.composed import Composed
from gpt2hydra.composition.hydra_state import parse
from gpt2hydra.composition.schema import register_schemas, schema_of
from gpt2hydra.config.run import TrainConfig


@pytest.fixture
def composed() -> Composed:
    register_schemas()
    config: Any = OmegaConf.merge(OmegaConf.structured(schema_of(TrainConfig)), {"model": {}})
    OmegaConf.set_struct(config, True)
    return Composed.of(config, frozenset())


def test_values_are_set_and_taken_back(composed: Composed) -> None:
    with composed.overridden([parse("model.n_embd=64"), parse("training.seed=3")]) as config:
        assert config is not None
        assert (config.model.n_embd, config.model.n_inner, config.training.seed) == (64, 256, 3)
    assert (composed.config.model.n_embd, composed.config.model.n_inner) == (768, 3072)


@pytest.mark.parametrize("override", ["model.n_hed=3", "model={n_layer: 3}", "training.seed=x", "data.path=${now:%f}"])
def test_what_is_no_plain_change_is_left_to_hydra(composed: Composed, override: str) -> None:
    before = OmegaConf.to_container(composed.config, resolve=False)
    with composed.overridden([parse("training.batch_size=3"), parse(override)]) as config:
        assert config is None
    assert OmegaConf.to_container(composed.config, resolve=False) == before


def test_a_config_whose_values_may_differ_the_next_time_is_known() -> None:
    register_schemas()
    config: Any = OmegaConf.merge(OmegaConf.structured(schema_of(TrainConfig)), {"model": {}, "data": {"path": "${now:%f}"}})
    assert Composed.of(config, frozenset()).unstable
