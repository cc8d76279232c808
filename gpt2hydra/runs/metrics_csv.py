"""loss.csv: one row a measurement, each on the disk at once, each step once. Standard library only."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from gpt2hydra.utils.files import atomic_file
from gpt2hydra.utils.formatting import reason_of

FILE = "loss.csv"


@dataclass(frozen=True)
class Measurement:
    """One row of loss.csv. Losses are means, in nats per token; None where nothing was measured."""

    step: int
    tokens: int
    """Seen in training so far."""
    training_loss: float | None
    """Over the steps since the row before."""
    validation_loss: float | None
    learning_rate: float | None
    """Of the step just done."""
    gradient_norm: float | None
    """Of the step just done, before it was clipped."""
    tokens_per_second: float | None
    """Over the steps since the row before, evaluations and checkpoints not counted."""
    skipped_steps: int = 0
    """Of the steps since the row before: their gradient norm was above ``training.skip_spike_norm``."""


COLUMNS = tuple(field.name for field in fields(Measurement))


class LossTable:
    """The rows of a run, and the file that they are in."""

    def __init__(self, folder: Path, rows: Iterable[Measurement] = ()) -> None:
        """Begin the file with ``rows``, in place of what may lie there.

        Raises:
            OSError: it cannot be written.
        """
        self.file, self.rows = folder / FILE, list(rows)
        self._complete = False
        """Whether the file has every row."""
        self._write_all()

    def add(self, row: Measurement) -> str | None:
        """Take a row. One that cannot be written is written with the next; returns why, the first time."""
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
            return reason_of(error) if was_complete else None
        return None

    def _write_all(self) -> None:
        with atomic_file(self.file, durable=True) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(_cells(row) for row in self.rows)
        self._complete = True

    def validation(self) -> list[tuple[int, float]]:
        """``(step, loss)`` of every evaluation."""
        return [(row.step, row.validation_loss) for row in self.rows if row.validation_loss is not None]

    def evaluations_since_best(self) -> int:
        """How many evaluations came after that of the lowest validation loss, the first of two alike."""
        losses = [loss for _, loss in self.validation()]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    @property
    def skipped_steps(self) -> int:
        """Of all rows together."""
        return sum(row.skipped_steps for row in self.rows)


def _cells(row: Measurement) -> Iterable[object]:
    return ("" if value is None else value for value in astuple(row))


def read_rows(folder: Path, last_step: int = sys.maxsize) -> tuple[list[Measurement], str | None]:
    """The rows of a run directory up to a step, each step once, the last of two alike.

    Returns:
        The rows that can be read, and what is wrong with the file, in words: it is missing, or lines of it
        cannot be read. A last line that a killed process left half written is nothing wrong.
    """
    found: dict[int, Measurement] = {}
    unreadable: list[int] = []
    number = 1
    try:
        with (folder / FILE).open(newline="", encoding="utf-8") as file:
            for number, cells in enumerate(csv.DictReader(file), 2):
                row = _read(cells)
                if row is None:
                    unreadable.append(number)
                elif row.step <= last_step:
                    found[row.step] = row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return _sorted(found), f"cannot be read: {reason_of(error)}"
    if unreadable and unreadable != [number]:
        return _sorted(found), f"has lines that cannot be read: {', '.join(map(str, unreadable[:5]))}"
    return _sorted(found), None


def _sorted(found: dict[int, Measurement]) -> list[Measurement]:
    return [found[each] for each in sorted(found)]


def _read(cells: dict[str, str]) -> Measurement | None:
    """The row of a line; None where that cannot be read."""
    if None in cells.values():
        return None
    try:
        numbers = {name: float(cells[name]) if cells[name] else None for name in COLUMNS[2:-1]}
        return Measurement(int(cells["step"]), int(cells["tokens"]), **numbers, skipped_steps=int(cells["skipped_steps"]))
    except (KeyError, TypeError, ValueError):
        return None
