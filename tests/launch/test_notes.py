"""What is printed before a run starts, though nothing is wrong."""

import pytest

import gpt2hydra
from gpt2hydra.launch.notes import note_fine_tuning, warn_of_memory
from gpt2hydra.sizing import device
from tests.command_line import CommandLine


def test_a_run_that_is_too_large_is_warned_of(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    config = gpt2hydra.compose("train", ["model=xl"])
    warn_of_memory(config)
    assert run.capfd.readouterr().err == ""
    monkeypatch.setattr(device, "machine_memory", lambda: 10**9)
    warn_of_memory(config)
    assert run.capfd.readouterr().err.startswith("warning: the predicted peak, ")


def test_without_a_folder_to_start_from_nothing_is_printed(run: CommandLine) -> None:
    note_fine_tuning(gpt2hydra.compose("train"))
    assert run.capfd.readouterr().err == ""


@pytest.mark.parametrize(("gpu", "noted"), [(None, True), (80 * 10**9, False)])
def test_a_plan_for_a_device_that_is_not_here_says_so(
    run: CommandLine, monkeypatch: pytest.MonkeyPatch, gpu: int | None, noted: bool
) -> None:
    monkeypatch.setattr(device, "gpu_memory", lambda: gpu)
    outcome = run("training.device=cuda", "dry_run=true")
    assert (outcome.code, outcome.configs) == (0, [])
    assert ("note: training.device = cuda needs an NVIDIA GPU, and none was found here" in outcome.out) == noted
    assert "another machine" not in run("dry_run=true").out
