"""The processes of a run: who is who, what they may share, and who speaks."""

import sys
from pathlib import Path

import pytest

import gpt2hydra
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.run import GenerateConfig
from gpt2hydra.training.processes import Process, agree, one_voice, problems, this_process, together

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "SLURM_STEP_NUM_TASKS": "2"}


@pytest.mark.parametrize(
    ("environment", "process"),
    [
        pytest.param({}, Process(), id="alone"),
        pytest.param({"WORLD_SIZE": "1", "RANK": "0"}, Process(), id="alone, and told so"),
        pytest.param({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, Process(), id="the batch script of four tasks"),
        pytest.param(TORCHRUN, Process(5, 1, 8), id="torchrun, on two machines by srun"),
        pytest.param(TORCHRUN | {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}, Process(0, 0, 1), id="torchrun of one"),
    ],
)
def test_who_this_is(environment: dict[str, str], process: Process) -> None:
    assert this_process(environment) == process


@pytest.mark.parametrize(
    ("environment", "head", "command"),
    [
        ({"WORLD_SIZE": "4"}, "WORLD_SIZE = 4", "torchrun --nproc-per-node 4 train.py model=large"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "OMPI_COMM_WORLD_SIZE = 2", "torchrun --nproc-per-node 2 train.py model=large"),
        (
            {"SLURM_STEP_NUM_TASKS": "8"},
            "SLURM_STEP_NUM_TASKS = 8",
            "srun --ntasks-per-node=1 torchrun --nproc-per-node N train.py model=large",
        ),
        ({"ACCELERATE_MIXED_PRECISION": "no"}, "accelerate launch", "torchrun --nproc-per-node N train.py model=large"),
    ],
    ids=["WORLD_SIZE", "mpirun", "srun", "accelerate"],
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
    found = problems(config, count)
    assert [f"(nearest: {nearest})" in each.rule for each in found] == [True] * (nearest is not None)
    for violation in found:
        cured = gpt2hydra.compose("train", [*overrides, violation.suggestion])
        assert problems(cured, count) == []


def test_only_training_is_the_work_of_several() -> None:
    generate = GenerateConfig(checkpoint="here")
    assert together(Process(), generate) == []
    (violation,) = together(Process(0, 0, 2), generate)
    assert (violation.key, violation.rule) == ("torchrun", "started 2 processes; this is the work of one")


def test_one_process_agrees_with_itself() -> None:
    assert agree(Process(), lambda: {"directory": "here"}) == {"directory": "here"}


# ------------------------------------------------------------------------------------------------------------ who speaks


def test_only_the_first_process_prints(capsys: pytest.CaptureFixture[str]) -> None:
    for rank in range(3):
        with one_voice(Process(rank, rank, 3)):
            print(f"out {rank}")
            sys.stderr.write(f"err {rank}")
    assert capsys.readouterr() == ("out 0\n", "err 0")


@pytest.mark.parametrize(
    ("process", "error"),
    [
        pytest.param(Process(0, 0, 4), ConfigError, id="the first tells"),
        pytest.param(Process(1, 1, 4), SystemExit, id="another of its machine does not"),
        pytest.param(Process(2, 0, 4), ConfigError, id="the first of another machine tells"),
    ],
)
def test_a_refusal_is_told_once_on_each_machine(process: Process, error: type[BaseException]) -> None:
    with pytest.raises(error), one_voice(process):
        raise ConfigError([])


def test_a_mistake_of_the_program_is_told_by_any_process() -> None:
    with pytest.raises(ZeroDivisionError), one_voice(Process(3, 3, 4)):
        raise ZeroDivisionError


def test_the_place_of_the_others_is_what_the_first_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store: dict[str, str] = {}

    class Store:
        def set(self, key: str, value: str) -> None:
            store[key] = value

        def get(self, key: str) -> str:
            return store[key]

    monkeypatch.setattr("gpt2hydra.training.processes._store", Store)
    assert agree(Process(0, 0, 2), lambda: "mine") == "mine"
    assert agree(Process(1, 1, 2), lambda: "its own") == "mine"
    with pytest.raises(ConfigError):
        agree(Process(0, 0, 2), _refuse)
    with pytest.raises(SystemExit):
        agree(Process(1, 1, 2), lambda: "its own")


def _refuse() -> str:
    raise ConfigError([])
