"""loss.csv: each measurement on the disk at once, each step once."""

import errno
from pathlib import Path
from typing import Any

import pytest

from gpt2hydra.runs.metrics_csv import COLUMNS, LossTable, Measurement, read_rows

UNTRAINED = Measurement(0, 0, None, 5.5, None, None, None)
FIRST = Measurement(10, 480, 4.25, None, 0.001, 0.75, 1000.5)
SECOND = Measurement(20, 960, 0.1 + 0.2, 4.0, 0.002, 1.25, 1000.25)


def test_each_row_is_on_the_disk_at_once(tmp_path: Path) -> None:
    table = LossTable(tmp_path)
    assert (table.append(UNTRAINED), table.append(FIRST)) == (None, None)
    assert (tmp_path / "loss.csv").read_text().splitlines() == [
        "step,tokens,training_loss,validation_loss,learning_rate,gradient_norm,tokens_per_second,skipped_steps",
        "0,0,,5.5,,,,0",
        "10,480,4.25,,0.001,0.75,1000.5,0",
    ]
    assert table.validation_losses() == [(0, 5.5)]


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    table = LossTable(tmp_path, [UNTRAINED, FIRST])
    table.append(SECOND)
    assert read_rows(tmp_path, 20) == ([UNTRAINED, FIRST, SECOND], None)
    assert read_rows(tmp_path, 19) == ([UNTRAINED, FIRST], None)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("10,480,4.25", id="a line that a kill cut"),
        pytest.param("10,480,4.25,,0.001,0.75,10x,0", id="not a float"),
        pytest.param(",,,,,,,", id="empty"),
    ],
)
def test_a_line_that_cannot_be_read_is_left_out_and_reported_unless_it_is_the_last(damage: str, tmp_path: Path) -> None:
    LossTable(tmp_path, [UNTRAINED])
    with (tmp_path / "loss.csv").open("a") as file:
        file.write(damage + "\n")
    assert read_rows(tmp_path, 20) == ([UNTRAINED], None)
    with (tmp_path / "loss.csv").open("a") as file:
        file.write("20,960,4.0,,0.001,0.75,9.0,0\n")
    rows, wrong = read_rows(tmp_path, 20)
    assert ([row.step for row in rows], wrong) == ([0, 20], "has lines that cannot be read: 3")


def test_a_file_of_something_else_is_reported(tmp_path: Path) -> None:
    (tmp_path / "loss.csv").write_bytes(b"\xff\xfe\x00garbled")
    rows, wrong = read_rows(tmp_path, 20)
    assert rows == [] and wrong is not None and wrong.startswith("cannot be read: ")


@pytest.mark.parametrize(
    ("losses", "count"), [([], 0), ([3.0], 0), ([3.0, 2.0], 0), ([2.0, 3.0, 2.0], 2), ([3.0, 2.0, 2.5, 2.25], 2)]
)
def test_evaluations_since_the_best(losses: list[float], count: int, tmp_path: Path) -> None:
    rows = [Measurement(step, step, None, loss, None, None, None) for step, loss in enumerate(losses)]
    assert LossTable(tmp_path, rows).evaluations_since_best() == count


def test_of_two_rows_of_a_step_the_last_counts(tmp_path: Path) -> None:
    LossTable(tmp_path, [FIRST, UNTRAINED, SECOND, Measurement(10, 480, 4.5, None, 0.001, 0.75, 9.0)])
    assert [row.training_loss for row in read_rows(tmp_path, 20)[0]] == [None, 4.5, SECOND.training_loss]


def test_a_run_without_a_table_has_no_rows(tmp_path: Path) -> None:
    assert read_rows(tmp_path, 20) == ([], "cannot be read: No such file or directory")


def test_a_row_that_could_not_be_written_is_written_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = LossTable(tmp_path, [UNTRAINED])
    opened = Path.open

    def full(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if mode != "r":
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(self, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", full)
    assert [table.append(FIRST), table.append(SECOND)] == ["No space left on device", None]
    assert read_rows(tmp_path, 100) == ([UNTRAINED], None)
    monkeypatch.undo()
    last = Measurement(30, 1440, 3.0, None, 0.001, 1.0, 1.0)
    assert table.append(last) is None
    assert read_rows(tmp_path, 100) == ([UNTRAINED, FIRST, SECOND, last], None)
    assert [path.name for path in tmp_path.iterdir()] == ["loss.csv"]


def test_columns_are_the_fields_of_a_row() -> None:
    assert tuple(Measurement.__dataclass_fields__) == COLUMNS
