"""loss.csv: one row for each measured step, written immediately. Standard library only."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from gpt2hydra.utils.files import atomic_file
from gpt2hydra.utils.formatting import error_reason

LOSS_CSV = "loss.csv"


@dataclass(frozen=True)
class Measurement:
    """One row of loss.csv. Losses are means, in nats per token; None if not measured."""

    step: int
    tokens: int
    """The number of tokens trained on so far."""
    training_loss: float | None
    """Over the steps since the previous row."""
    validation_loss: float | None
    learning_rate: float | None
    """Of the last step."""
    gradient_norm: float | None
    """Of the last step, before clipping."""
    tokens_per_second: float | None
    """Over the steps since the previous row, without the time of evaluations and checkpoints."""
    skipped_steps: int = 0
    """Steps since the previous row whose gradient norm was above ``training.skip_spike_norm``."""


COLUMNS = tuple(field.name for field in fields(Measurement))


class LossTable:
    """The rows of a run, in memory and in its loss.csv."""

    def __init__(self, folder: Path, rows: Iterable[Measurement] = ()) -> None:
        """Write the file with ``rows``, in place of an existing file.

        Raises:
            OSError: it cannot be written.
        """
        self.file, self.rows = folder / LOSS_CSV, list(rows)
        self._complete = False
        """Whether the file has every row."""
        self._write_all()

    def append(self, row: Measurement) -> str | None:
        """Add a row. What cannot be written now is written with the next row; return why, the first time."""
        self.rows.append(row)
        was_complete = self._complete
        try:
            if was_complete:
                with self.file.open("a", newline="", encoding="utf-8") as file:
                    csv.writer(file).writerow(_cells(row))
            else:
                self._write_all()
        except OSError as error:
            self._complete = False
            return error_reason(error) if was_complete else None
        return None

    def _write_all(self) -> None:
        with atomic_file(self.file, durable=True) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(_cells(row) for row in self.rows)
        self._complete = True

    def validation_losses(self) -> list[tuple[int, float]]:
        """``(step, loss)`` of every evaluation."""
        return [(row.step, row.validation_loss) for row in self.rows if row.validation_loss is not None]

    def evaluations_since_best(self) -> int:
        """The number of evaluations after that with the lowest validation loss, the first of equal ones."""
        losses = [loss for _, loss in self.validation_losses()]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    @property
    def skipped_steps(self) -> int:
        """The sum over all rows."""
        return sum(row.skipped_steps for row in self.rows)


def _cells(row: Measurement) -> Iterable[object]:
    return ("" if value is None else value for value in astuple(row))


def read_rows(folder: Path, last_step: int = sys.maxsize) -> tuple[list[Measurement], str | None]:
    """Read the rows of a run directory up to ``last_step``, each step once, without unreadable lines.

    Returns:
        The rows that can be read, and what is wrong with the file, in words: it is missing, or lines of it
        cannot be read. An incomplete last line, which a killed process leaves, is ignored.
    """
    found: dict[int, Measurement] = {}
    unreadable: list[int] = []
    number = 1
    try:
        with (folder / LOSS_CSV).open(newline="", encoding="utf-8") as file:
            for number, cells in enumerate(csv.DictReader(file), 2):
                row = _parse_row(cells)
                if row is None:
                    unreadable.append(number)
                elif row.step <= last_step:
                    found[row.step] = row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return _sort_rows(found), f"cannot be read: {error_reason(error)}"
    if unreadable and unreadable != [number]:
        return _sort_rows(found), f"has lines that cannot be read: {', '.join(map(str, unreadable[:5]))}"
    return _sort_rows(found), None


def _sort_rows(found: dict[int, Measurement]) -> list[Measurement]:
    return [found[each] for each in sorted(found)]


def _parse_row(cells: dict[str, str]) -> Measurement | None:
    """Return the row of a line; None if it cannot be read."""
    if None in cells.values():
        return None
    try:
        numbers = {name: float(cells[name]) if cells[name] else None for name in COLUMNS[2:-1]}
        return Measurement(int(cells["step"]), int(cells["tokens"]), **numbers, skipped_steps=int(cells["skipped_steps"]))
    except (KeyError, TypeError, ValueError):
        return None
