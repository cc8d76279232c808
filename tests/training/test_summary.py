"""The commands that a run ends with."""

import shlex
import sys
from pathlib import Path

import pytest

import gpt2hydra
from gpt2hydra.sizing import device, timing
from gpt2hydra.training.summary import estimate_step_seconds, format_long_run_note, resuming_command, sampling_command

NAMES = ["run", "my runs/1", "it's (a) run", "a=b", "100%", "tab\there"]


@pytest.mark.parametrize("name", NAMES)
def test_the_command_to_sample_works_when_it_is_pasted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/gpt2hydra-train"])
    program, *overrides = shlex.split(sampling_command(tmp_path / name))
    config = gpt2hydra.compose("generate", overrides)
    assert (program, config.checkpoint, config.prompt) == ("gpt2hydra-generate", name, "The ")


def test_the_commands_name_the_scripts_as_seen_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("train.py", "generate.py"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert sampling_command(Path("outputs/x")) == 'python3 generate.py checkpoint=outputs/x prompt="The "'
    assert resuming_command(tmp_path / "outputs/x") == "python3 train.py resume=outputs/x"
    longer = resuming_command(Path("/elsewhere"), "training.max_steps=7")
    assert longer == "python3 train.py resume=/elsewhere training.max_steps=7"


def test_a_run_of_several_processes_continues_in_as_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    assert resuming_command(Path("outputs/x")) == "torchrun --nproc-per-node 2 train.py resume=outputs/x"


@pytest.mark.parametrize(
    ("overrides", "small"), [((), True), (("experiment=quickstart",), False)], ids=["meant for a GPU", "small on purpose"]
)
def test_a_long_run_is_announced_with_the_command_for_a_small_one(
    overrides: tuple[str, ...], small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "gpu_memory", lambda: None)
    monkeypatch.setattr(timing, "step_seconds", lambda *_: 2.5)
    config = gpt2hydra.compose("train", [*overrides, "training.max_steps=1000000"])
    assert estimate_step_seconds(config) == 2.5
    line = format_long_run_note(config, 7200, "cpu")
    assert line.startswith("note: by estimate, training takes 2 h 00 min on this device")
    assert line.endswith(" experiment=quickstart\n") == small


def test_a_short_run_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "gpu_memory", lambda: None)
    monkeypatch.setattr(timing, "step_seconds", pytest.fail)
    assert estimate_step_seconds(gpt2hydra.compose("train", ["experiment=quickstart"])) is None
