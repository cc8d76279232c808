"""Mistakes on a command line, and the command that is named instead."""

import sys
from pathlib import Path

import pytest

from gpt2hydra import GenerateConfig, TrainConfig
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.validation import Checked
from gpt2hydra.launch.usage_hints import unknown_command_message, unknown_option_message
from tests.command_line import CommandLine

PYTHON = Path(sys.executable).name


def hint(
    monkeypatch: pytest.MonkeyPatch, *words: str, config_class: type[Checked] = TrainConfig, file: str = "train.py"
) -> str:
    monkeypatch.setattr(sys, "argv", [file, *words])
    unknown = [word for word in words if word.startswith("-") and word != "-m"]
    return unknown_option_message(words, unknown, ["--cfg", "--multirun"], config_class, ["experiment", "model"])


@pytest.mark.parametrize(
    ("words", "command"),
    [
        pytest.param(["--model", "large"], "model=large", id="group"),
        pytest.param(["--model=large", "-m"], "model=large -m", id="equals sign"),
        pytest.param(["--experiment", "quickstart"], "experiment=quickstart", id="a group that is no section"),
        pytest.param(["--training.max_steps", "5", "model=xl"], "training.max_steps=5 model=xl", id="key"),
        pytest.param(["model=large", "--dry_run"], "model=large dry_run=true", id="flag"),
        pytest.param(["--dry-run"], "dry_run=true", id="with a hyphen"),
        pytest.param(["--dry_run", "model=large"], "dry_run=true model=large", id="flag before an override"),
        pytest.param(["--dry_run", "false"], "dry_run=false", id="flag with its value"),
        pytest.param(["--data.path", "my text.txt"], '"data.path=my text.txt"', id="for bash"),
        pytest.param(["--hydra.run.dir=here"], "hydra.run.dir=here", id="Hydra's own"),
    ],
)
def test_a_value_with_dashes_is_typed_without(monkeypatch: pytest.MonkeyPatch, words: list[str], command: str) -> None:
    option = next(word for word in words if word.startswith("--")).partition("=")[0]
    assert hint(monkeypatch, *words) == (
        f"there is no option {option}; values are set without dashes, as key=value\n  try: {PYTHON} train.py {command}"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["--modle=large"], "did you mean model?\n  try: {} train.py model=large", id="misspelt"),
        pytest.param(
            ["--batch-size=4"], "did you mean training.batch_size?\n  try: {} train.py training.batch_size=4", id="short"
        ),
        pytest.param(["--cgf", "job"], "did you mean --cfg?", id="an option"),
        pytest.param(["--epochs", "3"], "values are set without dashes, as key=value", id="nothing like it"),
        pytest.param(["--model", "--epochs=3"], "values are set without dashes, as key=value", id="no value"),
    ],
)
def test_a_misspelt_one_is_guessed(monkeypatch: pytest.MonkeyPatch, words: list[str], expected: str) -> None:
    option = words[0].partition("=")[0]
    assert hint(monkeypatch, *words) == f"there is no option {option}; {expected.format(PYTHON)}"


def test_the_keys_are_those_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    message = hint(monkeypatch, "--prompt", "To be, or not", config_class=GenerateConfig, file="generate.py")
    assert message.endswith(f'  try: {PYTHON} generate.py "prompt=To be, or not"')


def test_the_programs_are_no_commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(CONF_DIR.parent)
    expected = f'generate is a separate program\n  try: {PYTHON} generate.py "prompt=To be" checkpoint=run'
    assert unknown_command_message(["generate", "prompt=To be", "checkpoint=run"], ["size"]) == expected
    monkeypatch.chdir(tmp_path)
    assert unknown_command_message(["trian"], ["size"]) == "train is a separate program\n  try: gpt2hydra-train"


def test_each_suggested_command_can_be_typed(run: CommandLine) -> None:
    outcome = run("--experiment", "quickstart", "--model.n_embd", "64")
    assert (outcome.code, outcome.out, outcome.configs) == (2, "", [])
    message, command = outcome.err.splitlines()
    assert message.endswith(": error: there is no option --experiment; values are set without dashes, as key=value")
    assert run(*command.split()[3:]).configs[0].model.n_embd == 64
