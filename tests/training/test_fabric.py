"""Several processes that share a run, as torchrun starts them, over gloo on the CPU."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from gpt2hydra.checkpoint import model_files, run_checkpoints
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.runs import record
from gpt2hydra.training.fabric import seed_dropout, setup_fabric
from gpt2hydra.training.run import train
from tests.processes import ranks, torchrun, wait_for_checkpoint
from tests.training import shared
from tests.training.tiny import WITHOUT_DROPOUT, table, tiny

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

LONGER = "training.max_steps=30"


def run_shared(folder: Path, how: str, *overrides: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    return torchrun(shared.main, folder, how, *overrides, **options).wait()


def losses(folder: Path) -> list[float]:
    """Training, then validation."""
    return [float(row[kind]) for kind in ("training_loss", "validation_loss") for row in table(folder) if row[kind]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process, of 20 steps."""
    folder = tmp_path_factory.mktemp("alone")
    train(tiny(*WITHOUT_DROPOUT, "training.sample_tokens=0"), folder)
    return folder


@pytest.fixture(scope="module")
def longer(alone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run after 10 more steps."""
    folder = tmp_path_factory.mktemp("longer") / "run"
    shutil.copytree(alone, folder)
    train(tiny(*WITHOUT_DROPOUT, LONGER), resume_from=folder)
    return folder


@pytest.mark.parametrize("count", ["0", "abc"])
def test_process_variables_without_torchrun_are_ignored(count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", count)
    assert setup_fabric(TrainingConfig(), torch.device("cpu")).world_size == 1


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_agree_with_one_and_one_continues_from_their_checkpoint(
    strategy: str, alone: Path, longer: Path, tmp_path: Path
) -> None:
    done = run_shared(tmp_path / "run", "new", f"training.strategy={strategy}")
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path / "run") == pytest.approx(losses(alone), abs=1e-5)
    if strategy == "ddp":  # PyTorch itself keeps the groups of a sharded model
        assert done.stderr.count("threads of gloo: 0\n") == 2
    assert done.stdout.count("Trained 20 steps") == 1
    assert done.stderr.count("step 20 of 20") == 1
    assert f"fp32 on cpu, 2 processes ({strategy})\n" in done.stderr
    assert json.loads((tmp_path / "run/run.json").read_text())["processes"] == 2
    train(tiny(*WITHOUT_DROPOUT, LONGER), resume_from=tmp_path / "run")
    assert losses(tmp_path / "run") == pytest.approx(losses(longer), abs=1e-4)
    model, _ = model_files.load_model(str(tmp_path / "run"))
    assert model.num_parameters() == 7680


@pytest.mark.thorough
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
@pytest.mark.parametrize("before", ["alone", "ddp", "fsdp"])
def test_a_checkpoint_goes_from_any_processes_to_any_others(
    before: str, strategy: str, alone: Path, longer: Path, tmp_path: Path
) -> None:
    if before == "alone":
        shutil.copytree(alone, tmp_path / "run")
    else:
        assert run_shared(tmp_path / "run", "new", f"training.strategy={before}", processes=4).returncode == 0
    done = run_shared(tmp_path / "run", "resume", LONGER, f"training.strategy={strategy}")
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path / "run") == pytest.approx(losses(longer), abs=1e-4)


def test_processes_that_differ_stop_before_the_first_step(tmp_path: Path) -> None:
    done = run_shared(tmp_path / "run", "different")
    assert done.returncode == 1
    assert "is 0 in process 0 and 1 in process 1; all must run one configuration" in done.stderr
    assert "training.seed = " in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("fsdp", marks=pytest.mark.thorough)])
def test_a_process_that_dies_ends_the_run(strategy: str, tmp_path: Path) -> None:
    began = time.monotonic()
    endless = ("training.max_steps=1000000", "training.eval_interval=1000000", f"training.strategy={strategy}")
    done = run_shared(tmp_path / "run", "new", *endless, DYING_RANK="1")
    assert done.returncode == 1
    assert time.monotonic() - began < 60


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("evaluates", [False, True], ids=["in a step", "in a long evaluation"])
def test_a_signal_that_reaches_another_rank_first_interrupts_all(evaluates: bool, tmp_path: Path) -> None:
    run = tmp_path / "run"
    long = ("training.eval_sequences=6000", "data.validation_fraction=0.5") if evaluates else ()
    agent = torchrun(shared.main, run, "new", "training.max_steps=1000000", *long)
    wait_for_checkpoint(run, agent)  # which is saved before its evaluation
    os.kill(ranks(agent)[1], signal.SIGTERM)
    err = agent.wait().stderr
    reported, newest = record.read(run), run_checkpoints.find_newest(run)
    assert newest is not None and (reported.state, reported.step) == (record.INTERRUPTED, newest.step), err
    assert f"Stopped after step {newest.step} of 1,000,000" in err.replace(f"{newest.step:,}", str(newest.step))
    assert "gpt2hydra/training/" not in err  # no traceback of ours; torchrun has its own
    assert err.count("threads of gloo: 0\n") == 2
    if evaluates:
        assert newest.step == 10 and newest.validation_loss is None


def test_dropout_differs_from_step_to_step_and_from_process_to_process() -> None:
    drawn = set()
    for seed, step, rank in [(1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1), (2, 0, 0), (2, 1, 0), (0, 2, 0)]:
        seed_dropout(torch.device("cpu"), seed, step, rank)
        drawn.add(torch.rand(1).item())
    assert len(drawn) == 7
    seed_dropout(torch.device("cpu"), 1, 0, 0)
    assert torch.rand(1).item() in drawn
