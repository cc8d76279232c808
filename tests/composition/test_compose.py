"""Composing from Python: fresh files, many threads, and a caller whose Hydra stays as it was."""

import threading
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.version import VersionBase

import gpt2hydra
from gpt2hydra import ConfigError, GPT2Config, TrainConfig
from gpt2hydra.config.gpt2 import CONF_DIR
from tests.hydra_api import hydra_in


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


@pytest.mark.parametrize("arguments", [("train", "model=large"), (["train"], []), (None, [])])
def test_an_invalid_call_is_reported_with_a_valid_one(arguments: tuple[Any, Any]) -> None:
    with pytest.raises(TypeError, match=r'takes a name and a list, as compose\("train", \["model=large"\]\)'):
        gpt2hydra.compose(*arguments)
