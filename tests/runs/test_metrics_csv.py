"""loss.csv: each measurement on the disk at once, each step once."""

import errno
from pathlib import Path
from typing import Any

import pytest

from gpt2hydra.runs.metrics_csv import COLUMNS, LossTable, Row, rows_until

UNTRAINED = Row(0, 0, None, 5.5, None, None, None)
FIRST = Row(10, 480, 4.25, None, 0.001, 0.75, 1000.5)
SECOND = Row(20, 960, 0.1 + 0.2, 4.0, 0.002, 1.25, 1000.25)


def test_each_row_is_on_the_disk_at_once(tmp_path: Path) -> None:
    table = LossTable(tmp_path)
    assert (table.add(UNTRAINED), table.add(FIRST)) == (None, None)
    assert (tmp_path / "loss.csv").read_text().splitlines() == [
        "step,tokens,training_loss,validation_loss,learning_rate,gradient_norm,tokens_per_second",
        "0,0,,5.5,,,",
        "10,480,4.25,,0.001,0.75,1000.5",
    ]
    assert table.validation() == [(0, 5.5)]


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    table = LossTable(tmp_path, [UNTRAINED, FIRST])
    table.add(SECOND)
    assert rows_until(tmp_path, 20) == [UNTRAINED, FIRST, SECOND]
    assert rows_until(tmp_path, 19) == [UNTRAINED, FIRST]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("10,480,4.25", id="a line that a kill cut"),
        pytest.param("10,480,4.25,,0.001,0.75,10x", id="no number"),
        pytest.param(",,,,,,", id="empty"),
    ],
)
def test_a_line_that_is_none_is_passed_over(damage: str, tmp_path: Path) -> None:
    LossTable(tmp_path, [UNTRAINED])
    with (tmp_path / "loss.csv").open("a") as file:
        file.write(damage + "\n")
    assert rows_until(tmp_path, 20) == [UNTRAINED]


def test_of_two_rows_of_a_step_the_last_counts(tmp_path: Path) -> None:
    LossTable(tmp_path, [FIRST, UNTRAINED, SECOND, Row(10, 480, 4.5, None, 0.001, 0.75, 9.0)])
    assert [row.training_loss for row in rows_until(tmp_path, 20)] == [None, 4.5, SECOND.training_loss]


def test_a_run_without_a_table_has_no_rows(tmp_path: Path) -> None:
    assert rows_until(tmp_path, 20) == []


def test_a_row_that_could_not_be_written_is_written_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = LossTable(tmp_path, [UNTRAINED])
    opened = Path.open

    def full(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if mode != "r":
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(self, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", full)
    assert [table.add(FIRST), table.add(SECOND)] == ["No space left on device", None]
    assert rows_until(tmp_path, 100) == [UNTRAINED]
    monkeypatch.undo()
    last = Row(30, 1440, 3.0, None, 0.001, 1.0, 1.0)
    assert table.add(last) is None
    assert rows_until(tmp_path, 100) == [UNTRAINED, FIRST, SECOND, last]
    assert [path.name for path in tmp_path.iterdir()] == ["loss.csv"]


def test_columns_are_the_fields_of_a_row() -> None:
    assert tuple(Row.__dataclass_fields__) == COLUMNS
