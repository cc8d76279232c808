"""Composing fast gives what Hydra gives, and leaves Hydra as it was."""

import threading
from pathlib import Path
from typing import Any

import pytest
from hydra import compose as hydra_compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.version import VersionBase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf.errors import OmegaConfBaseException

import gpt2hydra
from gpt2hydra import GPT2Config, TrainConfig
from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.gate import instantiate
from gpt2hydra.composition.schema import register_schemas
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.gpt2 import CONF_DIR
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
        ours: Any = composer.instantiate(overrides)
    except REFUSALS:
        ours = "refused"
    assert ours == ("refused" if UNCLEAR & set(overrides) else _by_hydra(overrides))


def test_values_are_taken_back_after_each_composition(composer: Composer) -> None:
    before = composer.instantiate(["model=large"])
    composer.instantiate(["model=large", "model.n_head=10", "training.seed=3", "data.path=x"])
    with pytest.raises(ConfigError):
        composer.instantiate(["model=large", "model.n_head=7"])
    assert composer.instantiate(["model=large"]) == before


def test_n_inner_follows_the_width_as_composed() -> None:
    assert gpt2hydra.compose("train", ["model=large", "model.n_embd=640"]).model.n_inner == 2560


@pytest.mark.parametrize("name", ["small", "medium", "large", "xl"])
def test_presets_from_python_equal_those_from_hydra(name: str) -> None:
    assert gpt2hydra.compose("train", [f"model={name}"]).model == GPT2Config.preset(name)


def test_every_option_of_every_group_composes() -> None:
    for group in ("model", "tokenizer", "hardware", "experiment"):
        for file in (CONF_DIR / group).glob("*.yaml"):
            config = gpt2hydra.compose("train", [f"{group}={file.stem}"])
            assert isinstance(config, TrainConfig)


def test_changed_files_are_read_again(tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text("defaults: [train_schema, {model: tiny}, _self_]\n")
    (tmp_path / "model").mkdir()
    size = tmp_path / "model" / "tiny.yaml"
    size.write_text("n_layer: 2\n")
    assert gpt2hydra.compose("train", config_dir=tmp_path).model.n_layer == 2
    size.write_text("n_layer: 33\n")
    assert gpt2hydra.compose("train", config_dir=tmp_path).model.n_layer == 33


def test_the_callers_hydra_state_stays_as_it_was() -> None:
    with hydra_in(CONF_DIR, "mine"):
        before = GlobalHydra.instance().hydra, VersionBase.instance().getbase(), HydraConfig.instance().cfg
        gpt2hydra.compose("train", ["model=medium"])
        with pytest.raises(ConfigError):
            gpt2hydra.compose("train", ["model=nonesuch"])
        assert (GlobalHydra.instance().hydra, VersionBase.instance().getbase(), HydraConfig.instance().cfg) == before


def test_composing_from_many_threads() -> None:
    found: dict[int, Any] = {}

    def work(number: int) -> None:
        found[number] = gpt2hydra.compose("train", [f"training.seed={number}", f"model={['small', 'xl'][number % 2]}"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: (config.training.seed, config.model.n_layer) for number, config in found.items()} == {
        number: (number, [12, 48][number % 2]) for number in range(20)
    }
