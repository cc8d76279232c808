"""What a decorated function is."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from omegaconf import DictConfig

import gpt2hydra
from gpt2hydra import GenerateConfig, TrainConfig
from gpt2hydra.checkpoint import atomic_directory, run_checkpoints
from gpt2hydra.launch.application import Application
from tests.command_line import CommandLine
from tests.commands.test_main import run_command


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


def test_typed_values_and_an_experiment_override_the_parent_of_a_fork(run: CommandLine) -> None:
    parent = gpt2hydra.compose("train", ["training.seed=7", "training.learning_rate=0.01", "training.warmup_steps=9"])
    with atomic_directory.write_directory(run_checkpoints.checkpoint_dir(run.folder / "parent", 10)) as folder:
        (folder / run_checkpoints.RESUME_DIR).mkdir()
        atomic_directory.write_json(folder / run_checkpoints.RUN_JSON, {"step": 10, "config": parent.to_dict()})
    (run.folder / "more/experiment").mkdir(parents=True)
    (run.folder / "more/experiment/mine.yaml").write_text(
        "# @package _global_\ntraining:\n  learning_rate: 0.02\n  warmup_steps: 5\n"
    )
    words = ("fork_from=parent", "--config-dir", "more", "experiment=mine", "training.warmup_steps=3")
    outcome = run(*words)
    assert (outcome.code, outcome.err) == (0, "")
    (forked,) = outcome.configs
    assert forked.training == replace(parent.training, learning_rate=0.02, warmup_steps=3)
    assert [each.training.learning_rate for each in run("-m", *words, "training.seed=1,2").configs] == [0.02, 0.02]
    explained = run_command(run.capfd, "explain", *words, "training")[1]
    assert "training.learning_rate = 0.02   more/experiment/mine.yaml:3" in explained
    assert "training.seed = 7   parent/checkpoints/step-000010/gpt2hydra.json" in explained
    refused = run(*words[:3], "experiment=quickstart")
    assert refused.code == 1 and "    must be 12, as in fork_from = parent\n" in refused.err
