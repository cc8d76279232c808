"""What a decorated function is."""

from collections.abc import Callable
from typing import Any

import pytest
from omegaconf import DictConfig

import gpt2hydra
from gpt2hydra import GenerateConfig, TrainConfig
from gpt2hydra.launch.application import Application


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
