"""Composing fast gives what Hydra gives, and leaves Hydra as it was."""

from typing import Any

import pytest
from hydra import compose as hydra_compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf.errors import OmegaConfBaseException

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.instantiate import instantiate
from gpt2hydra.composition.schema import register_schemas
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import TrainConfig
from tests.hydra_api import hydra_in

OVERRIDES = st.one_of(
    st.builds("model={}".format, st.sampled_from(["small", "medium", "large", "xl", "[small,large]"])),
    st.builds("tokenizer={}".format, st.sampled_from(["bytes", "gpt2"])),
    st.builds("experiment={}".format, st.sampled_from(["quickstart", "nonesuch"])),
    st.builds("model.n_head={}".format, st.sampled_from(["7", "8", "16", "abc", "012", "1_0", "1e1", "null", "'8'", "true"])),
    st.builds("model.n_embd={}".format, st.sampled_from(["64", "640", "${model.n_positions}", "${nope}", "-1"])),
    st.builds("model.resid_pdrop={}".format, st.sampled_from(["0", "0.5", "nan", "inf", "1e400", "1e-3", "'0.1'", "[1]"])),
    st.builds("training.batch_size={}".format, st.integers(-1, 64)),
    st.builds("training={}".format, st.sampled_from(["{batch_size: 3}", "{nope: 3}", "5", "null"])),
    st.builds("data.path={}".format, st.sampled_from(["a.txt", "null", "'a b'", "${model.n_embd}", "[a]"])),
    st.sampled_from(
        [
            "+model.n_hed=3",
            "++model.n_layer=3",
            "++model.n_inner=5",
            "model.n_inner=5",
            "~model.n_layer",
            "~experiment",
            "~tokenizer",
            "+data.extra={a: 1}",
            "dry_run=true",
            "dry_run=5",
            "hydra.job.name=x",
            "hydra.run.dir=x",
            "hardware.name=${hydra:job.name}",
            "hardware.name=${oc.env:HOME}",
            "training.seed=${oc.env:NONE_SUCH}",
            "model.n_layer=2,3",
            "nonsense",
            "=",
            "trainin.seed=3",
        ]
    ),
)


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer("train", CONF_DIR, once=True)


REFUSALS = (ConfigError, HydraException, OmegaConfBaseException)
"""By the gate, or by Hydra; anything else is a mistake of ours."""


def _by_hydra(overrides: list[str]) -> Any:
    """The same through Hydra's public compose API and the gate, or the class of the refusal."""
    register_schemas()
    try:
        with hydra_in(CONF_DIR, "gpt2hydra"):
            config = hydra_compose("train", overrides, return_hydra_config=True)
            HydraConfig.instance().set_config(config)
            return instantiate(config)
    except REFUSALS:
        return "refused"
    finally:
        HydraConfig.instance().cfg = None


UNCLEAR = {"model=[small,large]", "~tokenizer"}
"""Hydra lays one over the other, and falls back to the schema; we ask for one choice."""


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(overrides=st.lists(OVERRIDES, max_size=5))
def test_composing_fast_agrees_with_hydra(composer: Composer, overrides: list[str]) -> None:
    try:
        ours: Any = composer.compose(overrides).config
    except REFUSALS:
        ours = "refused"
    assert ours == ("refused" if UNCLEAR & set(overrides) else _by_hydra(overrides))


@pytest.mark.parametrize("overrides", [["experiment=nonesuch", "~experiment"], ["~experiment", "experiment=nonesuch"]])
def test_a_choice_that_is_deleted_may_be_a_wrong_one_as_for_hydra(composer: Composer, overrides: list[str]) -> None:
    assert composer.compose(overrides).config == _by_hydra(overrides) == TrainConfig()


def test_values_are_taken_back_after_each_composition(composer: Composer) -> None:
    before = composer.compose(["model=large"]).config
    assert composer.compose(["model=large", "model.n_head=10", "training.seed=3", "data.path=x"]).is_valid
    assert not composer.compose(["model=large", "model.n_head=7"]).is_valid
    assert composer.compose(["model=large"]).config == before
