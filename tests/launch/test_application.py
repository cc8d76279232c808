"""What a decorated function is, and how a command finds it."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

import gpt2hydra
from gpt2hydra import ConfigError, GenerateConfig, TrainConfig
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.launch.application import Application, application_at


def test_our_own_programs_are_found() -> None:
    train = application_at("gpt2hydra.launch.programs:train")
    assert (train.config_name, train.config_dir, train.config_class) == ("train", CONF_DIR, TrainConfig)
    assert application_at("gpt2hydra.launch.programs:generate").config_class is GenerateConfig


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        pytest.param("gpt2hydra", "must be module:function", id="no function"),
        pytest.param(":main", "must be module:function", id="no module"),
        pytest.param("no_such_module:main", "cannot be imported: No module named 'no_such_module'", id="unknown module"),
        pytest.param("gpt2hydra.launch.programs:trian", "did you mean gpt2hydra.launch.programs:train?", id="misspelt"),
        pytest.param("gpt2hydra.launch.handle_errors:refuse", "is no function under @gpt2hydra.main", id="not decorated"),
    ],
)
def test_a_program_that_is_not_there_is_reported(path: str, rule: str) -> None:
    with pytest.raises(ConfigError) as caught:
        application_at(path)
    assert rule in caught.value.violations[0].rule


def test_the_current_directory_is_looked_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import gpt2hydra\n@gpt2hydra.main()\ndef main(config: gpt2hydra.TrainConfig): pass\n"
    (tmp_path / "program_of_mine.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*importlib.import_module("sys").path])
    assert application_at("program_of_mine:main").config_name == "train"


def raw(config: DictConfig) -> None: ...
def several(config: "TrainConfig | GenerateConfig") -> None: ...
def unknown(config: "NoSuchConfig") -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (raw, r"raw\(config: DictConfig\): must be annotated with a class that derives from Checked"),
        (several, r"several\(config: .*TrainConfig.*\): must be annotated with a class"),
        (unknown, r"unknown\(config\): its annotation cannot be read: name 'NoSuchConfig' is not defined"),
    ],
)
def test_the_annotation_must_name_a_configuration_class(function: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        gpt2hydra.main()(function)


def test_without_an_annotation_the_name_tells() -> None:
    assert Application.of(lambda config: None, "generate", None, None).config_class is GenerateConfig
    assert Application.of(lambda config: None, "mine", ".", None).config_class is None
