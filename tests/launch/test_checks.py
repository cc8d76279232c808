"""What is looked at once a configuration is valid, and before anything is made."""

import json
import subprocess
import sys

import pytest

import gpt2hydra
from gpt2hydra.launch.checks import machine_problems, note_fine_tuning, warn_of_memory
from gpt2hydra.sizing import device
from tests.command_line import CommandLine


def test_files_that_a_valid_config_names_are_looked_for(run: CommandLine) -> None:
    config = gpt2hydra.compose("train", ["data.path=nowhere.txt"])
    assert [(each.key, each.rule) for each in machine_problems(config)] == [("data.path", "there is no such file")]
    assert machine_problems(gpt2hydra.compose("train", ["model=xl"])) == []


def test_a_folder_to_start_from_is_looked_at_before_the_text(run: CommandLine) -> None:
    config = gpt2hydra.compose("train", ["init_from=nowhere", "data.path=nowhere.txt"])
    assert [each.key for each in machine_problems(config)] == ["init_from"]


def test_a_checkpoint_is_looked_for(run: CommandLine) -> None:
    config = gpt2hydra.compose("generate", ["checkpoint=nowhere"])
    assert [each.key for each in machine_problems(config)] == ["checkpoint"]


def test_a_run_that_is_too_large_is_warned_of(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    config = gpt2hydra.compose("train", ["model=xl"])
    warn_of_memory(config)
    assert run.capfd.readouterr().err == ""
    monkeypatch.setattr(device, "machine_memory", lambda: 10**9)
    warn_of_memory(config)
    assert run.capfd.readouterr().err.startswith("warning: the predicted peak, ")


def test_without_a_folder_to_start_from_nothing_is_said(run: CommandLine) -> None:
    note_fine_tuning(gpt2hydra.compose("train"))
    assert run.capfd.readouterr().err == ""


def test_any_device_will_do_without_a_look_by_torch() -> None:
    code = (
        "import json, sys, gpt2hydra; from gpt2hydra.launch.checks import device_problems; "
        "found = device_problems(gpt2hydra.compose('train')); print(json.dumps([len(found), 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [0, False]
