"""The processes of a run: who is who, what they may share, and who speaks."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import gpt2hydra
from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import GenerateConfig
from gpt2hydra.runs import record
from gpt2hydra.training import processes
from gpt2hydra.training.processes import (
    Process,
    check_equal_shares,
    check_world_size,
    decide_on_rank_zero,
    rank_zero_output,
    this_process,
)
from tests.processes import run_script
from tests.processes import torchrun as start_torchrun

SIZES = {"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "here", "MASTER_PORT": "29500"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "5", "LOCAL_RANK": "1", "SLURM_STEP_NUM_TASKS": "2", **SIZES}


@pytest.mark.parametrize(
    ("environment", "process"),
    [
        pytest.param({}, Process(), id="alone"),
        pytest.param({"WORLD_SIZE": "1", "RANK": "0"}, Process(), id="alone, and set so"),
        pytest.param({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, Process(), id="the batch script of four tasks"),
        pytest.param(TORCHRUN, Process(5, 1, 8, 4), id="torchrun, on two machines by srun"),
        pytest.param(
            TORCHRUN | {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"},
            Process(),
            id="torchrun of one",
        ),
    ],
)
def test_ranks_are_read_from_the_environment(environment: dict[str, str], process: Process) -> None:
    assert this_process(environment) == process


@pytest.mark.parametrize(
    ("environment", "head", "command"),
    [
        ({"WORLD_SIZE": "4"}, "WORLD_SIZE = 4", "torchrun --nproc-per-node 4 train.py model=large"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "OMPI_COMM_WORLD_SIZE = 2", "torchrun --nproc-per-node 2 train.py model=large"),
        ({"PMI_SIZE": "2", "PMI_RANK": "1"}, "PMI_SIZE = 2", "torchrun --nproc-per-node 2 train.py model=large"),
        (
            {"SLURM_STEP_NUM_TASKS": "8"},
            "SLURM_STEP_NUM_TASKS = 8",
            "srun --ntasks-per-node=1 torchrun --nproc-per-node N train.py model=large",
        ),
        ({"ACCELERATE_MIXED_PRECISION": "no"}, "accelerate launch", "torchrun --nproc-per-node N train.py model=large"),
    ],
    ids=["WORLD_SIZE", "Open MPI", "MPICH", "srun", "accelerate"],
)
def test_processes_that_do_not_know_each_other_are_refused_with_the_command_for_it(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], head: str, command: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "model=large"])
    with pytest.raises(ConfigError) as refused:
        this_process(environment)
    (violation,) = refused.value.violations
    assert violation.head == head and command in violation.rule


@pytest.mark.parametrize(
    ("environment", "wrong"),
    [
        ({"WORLD_SIZE": "abc", "RANK": ""}, ["RANK", "WORLD_SIZE"]),
        ({"WORLD_SIZE": "0", "LOCAL_WORLD_SIZE": "-1"}, ["WORLD_SIZE", "LOCAL_WORLD_SIZE"]),
        ({"MASTER_ADDR": ""}, ["MASTER_ADDR"]),
    ],
)
def test_torchruns_variables_must_be_set_to_numbers(environment: dict[str, str], wrong: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        this_process(TORCHRUN | environment)
    assert [violation.key for violation in refused.value.violations] == wrong


@pytest.mark.parametrize(
    ("batch", "passes", "count", "nearest"),
    [
        (4, 1, 2, None),
        (3, 2, 2, None),
        (1, 8, 8, None),
        (3, 1, 2, "2, 4"),
        (1, 1, 4, "4"),
        (6, 2, 8, "4, 8"),
        (5, 3, 4, "4, 8"),
    ],
)
def test_a_step_is_shared_equally(batch: int, passes: int, count: int, nearest: str | None) -> None:
    overrides = [f"training.batch_size={batch}", f"training.gradient_accumulation_steps={passes}"]
    config = gpt2hydra.compose("train", overrides)
    found = check_equal_shares(config, count)
    assert [f"(nearest: {nearest})" in each.rule for each in found] == [True] * (nearest is not None)
    for violation in found:
        cured = gpt2hydra.compose("train", [*overrides, violation.suggestion])
        assert check_equal_shares(cured, count) == []


def test_only_training_runs_in_several_processes() -> None:
    generate = GenerateConfig(checkpoint="here")
    assert check_world_size(Process(), generate) == []
    (violation,) = check_world_size(Process(0, 0, 2), generate)
    assert (violation.key, violation.rule) == ("torchrun", "started 2 processes; this program runs in one")


def test_one_process_agrees_with_itself() -> None:
    assert decide_on_rank_zero(Process(), lambda: {"directory": "here"}) == {"directory": "here"}


# ------------------------------------------------------------------------------------------------------------ who speaks


def test_only_the_first_process_prints(capsys: pytest.CaptureFixture[str]) -> None:
    for rank in range(3):
        with rank_zero_output(Process(rank, rank, 3)):
            print(f"out {rank}")
            sys.stderr.write(f"err {rank}")
    assert capsys.readouterr() == ("out 0\n", "err 0")


def test_refusals_of_other_processes_follow_that_of_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("gpt2hydra.training.processes.time.sleep", waited.append)
    with pytest.raises(ConfigError), rank_zero_output(Process(0, 0, 4)):
        raise ConfigError([])
    assert (waited, capsys.readouterr().err) == ([], "")
    with pytest.raises(ConfigError), rank_zero_output(Process(2, 0, 4)):
        raise ConfigError([])
    assert waited == [processes.RANK_EXIT_SECONDS]
    assert capsys.readouterr().err.startswith("In process 2 of 4, on ")


def test_a_mistake_of_the_program_is_reported_by_any_process() -> None:
    with pytest.raises(ZeroDivisionError), rank_zero_output(Process(3, 3, 4)):
        raise ZeroDivisionError


def test_all_processes_use_the_directory_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store: dict[str, str] = {}

    class Store:
        def set(self, key: str, value: str) -> None:
            store[key] = value

        def get(self, key: str) -> str:
            return store[key]

    monkeypatch.setattr("gpt2hydra.training.processes.rendezvous_store", Store)
    assert decide_on_rank_zero(Process(0, 0, 2), lambda: "mine") == "mine"
    assert decide_on_rank_zero(Process(1, 1, 2), lambda: "its own") == "mine"
    with pytest.raises(ConfigError):
        decide_on_rank_zero(Process(0, 0, 2), _refuse)
    with pytest.raises(SystemExit):
        decide_on_rank_zero(Process(1, 1, 2), lambda: "its own")


def _refuse() -> str:
    raise ConfigError([])


# -------------------------------------------------------------------------------------------------------- under torchrun

PROGRAM = """
import os, sys
import gpt2hydra
from gpt2hydra.launch.programs import output_dir

@gpt2hydra.main(config_name="train")
def train(config):
    rank = os.environ["RANK"]
    (output_dir() / f"rank-{rank}").write_text(os.getcwd())
    print("trained by", rank)
    if config.training.seed == 7 and rank == "1":
        raise ZeroDivisionError("of the second process alone")

train()
"""


def run_program(folder: Path, *overrides: str) -> None:
    os.chdir(folder)
    run_script(folder / "program.py", *overrides)


Torchrun = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def torchrun(tmp_path: Path) -> Torchrun:
    """Runs the program in two processes: ``torchrun("model=large")``."""
    pytest.importorskip("torch")
    (tmp_path / "program.py").write_text(PROGRAM)

    def run(*overrides: str) -> "subprocess.CompletedProcess[str]":
        return start_torchrun(run_program, tmp_path, *overrides).wait()

    return run


def test_two_processes_have_one_directory_one_log_and_one_output(torchrun: Torchrun, tmp_path: Path) -> None:
    done = torchrun()
    assert (done.returncode, done.stdout) == (0, "trained by 0\n")
    (directory,) = tmp_path.glob("outputs/*/*")
    assert sorted(path.name for path in directory.iterdir()) == [".hydra", "rank-0", "rank-1", "train.log"]


@pytest.mark.thorough
def test_two_processes_refuse_with_one_report(torchrun: Torchrun, tmp_path: Path) -> None:
    refused = torchrun("hydra.run.dir=program.py")  # a file: what the first process finds when it decides for all
    assert refused.returncode == 1
    assert refused.stderr.count("nothing was started") == 1 and "In process" not in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["program.py"]


@pytest.mark.thorough
def test_a_mistake_in_the_second_process_is_seen(
    torchrun: Torchrun,
) -> None:
    failed = torchrun("training.seed=7")
    assert failed.returncode == 1
    assert "ZeroDivisionError: of the second process alone" in failed.stderr


TRAIN = CONF_DIR.parent / "train.py"
TINY = (
    *("model.vocab_size=257", "model.n_positions=16", "model.n_embd=16", "model.n_layer=1", "model.n_head=2"),
    *("training.batch_size=8", "training.eval_interval=10", "training.warmup_steps=2", "training.sample_tokens=0"),
    *("training.device=cpu", "training.max_steps=1000000"),
)


@pytest.mark.thorough
def test_a_training_of_two_processes_that_slurm_stops_continues_in_two(tmp_path: Path) -> None:
    pytest.importorskip("lightning_fabric")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(TRAIN)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CONF_DIR.parent)}
    folder = tmp_path / "run"
    with subprocess.Popen([*torchrun, *TINY, f"hydra.run.dir={folder}"], env=environment, stderr=subprocess.DEVNULL) as first:
        while run_checkpoints.find_newest(folder) is None:
            assert first.poll() is None, "it ended by itself"
            time.sleep(0.1)
        assert record.read(folder).state == record.RUNNING
        first.send_signal(signal.SIGTERM)
    cut, newest = record.read(folder), run_checkpoints.find_newest(folder)
    assert newest is not None and (cut.state, cut.step) == (record.INTERRUPTED, newest.step)

    steps = newest.step + 10
    command = [*torchrun, f"resume={folder}", f"training.max_steps={steps}"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    done = record.read(folder)
    (resumed,) = done.content["resumed"]
    assert (done.state, done.step, resumed["step"], resumed["processes"]) == (record.FINISHED, steps, newest.step, 2)
    with (folder / "loss.csv").open(newline="") as table:
        rows = [int(row["step"]) for row in csv.DictReader(table)]
    assert rows == sorted(set(rows)) and rows[-1] == steps
