"""Which checkpoints a run keeps: the newest, the best, the complete ones. Without torch."""

import json
from pathlib import Path

import pytest

from gpt2hydra.checkpoint import atomic_directory, run_checkpoints
from gpt2hydra.checkpoint.run_checkpoints import CheckpointInfo


def keep(run: Path, step: int, loss: float | None = None) -> CheckpointInfo:
    """A checkpoint of a run, without weights."""
    folder = run_checkpoints.checkpoint_dir(run, step)
    with atomic_directory.write_directory(folder) as unfinished:
        (unfinished / run_checkpoints.RUN_JSON).write_text(
            json.dumps({"step": step, "validation_loss": loss, "config": {"dry_run": False}})
        )
    return CheckpointInfo(folder, step, loss)


def test_checkpoints_come_in_the_order_of_their_steps(tmp_path: Path) -> None:
    later, earlier = keep(tmp_path, 1_000_000, 2.5), keep(tmp_path, 999_500)
    assert run_checkpoints.list_complete(tmp_path) == [earlier, later]
    assert run_checkpoints.find_newest(tmp_path) == later
    assert later.folder.name == "step-1000000"


def test_a_run_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert (
        run_checkpoints.list_complete(tmp_path),
        run_checkpoints.find_newest(tmp_path),
        run_checkpoints.find_best(tmp_path),
    ) == (
        [],
        None,
        None,
    )


@pytest.mark.parametrize(
    ("losses", "step"),
    [
        pytest.param([3.0, 2.0, 2.5], 2, id="the lowest"),
        pytest.param([3.0, 2.0, 2.0], 3, id="the later of two alike"),
        pytest.param([3.0, 2.0, None], 2, id="a measured one"),
        pytest.param([None, None, None], 3, id="the newest where none was measured"),
    ],
)
def test_the_best_has_the_lowest_validation_loss(losses: list[float | None], step: int, tmp_path: Path) -> None:
    all_kept = [keep(tmp_path, number, loss) for number, loss in enumerate(losses, 1)]
    assert run_checkpoints.find_best(tmp_path) == all_kept[step - 1]


@pytest.mark.parametrize(
    ("keep_last", "left"),
    [pytest.param(2, [2, 4, 5], id="the best and the last two"), pytest.param(4, [2, 3, 4, 5], id="the best among the last")],
)
def test_the_last_and_the_best_stay(keep_last: int, left: list[int], tmp_path: Path) -> None:
    for step, loss in enumerate([5.0, 1.0, 4.0, 3.0, 2.0], 1):
        keep(tmp_path, step, loss)
    run_checkpoints.prune(tmp_path, keep_last)
    assert [each.step for each in run_checkpoints.list_complete(tmp_path)] == left


def test_a_damaged_one_is_reported_and_the_one_before_is_taken(tmp_path: Path) -> None:
    first, second, third = (keep(tmp_path, step, 1 / step) for step in (1, 2, 3))
    content = (third.folder / run_checkpoints.RUN_JSON).read_text()
    (third.folder / run_checkpoints.RUN_JSON).write_text(content.replace("3", "4"))  # the size stays
    (second.folder / atomic_directory.MANIFEST).unlink()
    found, reported = run_checkpoints.find_newest_intact(tmp_path)
    assert (found, reported) == (
        first,
        [
            f"{third.folder} has a gpt2hydra.json that is not what was written: its SHA-256 differs",
            f"{second.folder} has no manifest.json",
        ],
    )


def test_other_folders_are_no_checkpoints(tmp_path: Path) -> None:
    for name in ("step-7", "step-000007", "step-latest", ".step-000008-unfinished", "notes"):
        (tmp_path / run_checkpoints.CHECKPOINTS_DIR / name).mkdir(parents=True)
    (tmp_path / run_checkpoints.CHECKPOINTS_DIR / "step-000009").write_text("a file")
    assert run_checkpoints.list_complete(tmp_path) == []


@pytest.mark.parametrize("content", ["{", "{}", '{"step": "7"}', '{"step": -1}', '{"step": true}'])
def test_a_run_that_says_nothing_of_use_is_no_checkpoint(content: str, tmp_path: Path) -> None:
    with atomic_directory.write_directory(run_checkpoints.checkpoint_dir(tmp_path, 7)) as unfinished:
        (unfinished / run_checkpoints.RUN_JSON).write_text(content)
    assert run_checkpoints.list_complete(tmp_path) == []
    assert run_checkpoints.find_newest_intact(tmp_path)[1] == [
        f"{run_checkpoints.checkpoint_dir(tmp_path, 7)} has a gpt2hydra.json that cannot be read"
    ]
