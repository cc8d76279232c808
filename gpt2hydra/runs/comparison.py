"""Runs side by side: what differs between them, how far each came, and how well. Standard library only."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.keys import field_at, keys_of, leaves
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.runs import metrics_csv as losses
from gpt2hydra.runs import record
from gpt2hydra.utils.formatting import show
from gpt2hydra.utils.table import figures, headings, table

ASIDE = ("resume", "dry_run", "preflight")
"""Keys that are no property of a run."""


@dataclass(frozen=True)
class Row:
    """One run of a comparison."""

    name: str
    """Its directory, as seen from the folder that is compared."""
    run: record.RunRecord
    step: int | None
    """The last step done, as far as it is known."""
    loss: float | None
    """Validation loss in nats per token: at the end, or the last that was measured."""
    values: Mapping[str, Any]
    """Dotted key → value of its configuration."""

    @property
    def state(self) -> str:
        """``finished``, ``cut at 500``, ``running``."""
        if self.run.state == record.FINISHED or self.step is None:
            return self.run.state
        return f"{self.run.state} at {self.step:,}"

    def to_dict(self) -> dict[str, Any]:
        """All of it, for a program."""
        return {
            "folder": str(self.run.folder),
            "state": self.run.state,
            "step": self.step,
            "max_steps": self.values.get("training.max_steps"),
            "validation_loss": self.loss,
            "fingerprint": self.run.fingerprint,
            "reason": self.run.content.get("reason"),
            "config": self.run.content["config"],
        }


@dataclass(frozen=True)
class Comparison:
    """Several runs, the best first, and the directories of which nothing could be read, with the reason."""

    rows: Sequence[Row]
    unreadable: Sequence[Violation]

    @classmethod
    def below(cls, folder: Path) -> Comparison:
        """All runs below a folder."""
        rows: list[Row] = []
        unreadable: list[Violation] = []
        for each in record.below(folder):
            try:
                rows.append(_row(folder, record.read(each)))
            except ConfigError as error:
                unreadable += error.violations
        return cls(sorted(rows, key=_best_first), unreadable)

    def differing(self) -> list[str]:
        """The keys that do not have the same value in all runs, in the order of the schema."""
        keys = dict.fromkeys([*keys_of(TrainConfig), *(key for row in self.rows for key in row.values)])
        return [key for key in keys if not _aside(key) and len({repr(row.values.get(key)) for row in self.rows}) > 1]

    def axes(self) -> list[list[str]]:
        """The keys that differ, those together that change together: ``model=small,large`` changes three."""
        groups: dict[tuple[int, ...], list[str]] = {}
        for key in self.differing():
            values = [repr(row.values.get(key)) for row in self.rows]
            groups.setdefault(tuple(map(values.index, values)), []).append(key)
        return list(groups.values())

    def table(self, width: int | None = None) -> str:
        """One line for each run.

        Args:
            width: characters of a line, which the keys that do not fit are left out for.
        """
        keys = self.differing()
        shown = list(keys)
        while width is not None and shown and max(map(len, self._lines(shown))) > width:
            shown.pop()
        lines = list(self._lines(shown))
        if len(shown) < len(keys):
            lines += ["", f"{len(keys) - len(shown)} more keys differ: {', '.join(keys[len(shown) :])}"]
        reasons = [f"{row.name}: {row.run.content['reason']}" for row in self.rows if "reason" in row.run.content]
        return "\n".join(lines + [""] * bool(reasons) + reasons)

    def _lines(self, keys: Sequence[str]) -> Iterator[str]:
        head = ("run", *headings(keys), "state", "validation loss")
        body = (
            (row.name, *(_shown(row.values.get(key)) for key in keys), row.state, "" if row.loss is None else f"{row.loss:.4f}")
            for row in self.rows
        )
        rows = [head, *body]
        return table(rows, right=figures(rows))

    def records(self) -> Iterator[dict[str, Any]]:
        """Each run flat, for a spreadsheet: directory, the keys that differ, state, step, validation loss."""
        keys = self.differing()
        for row in self.rows:
            values = {key: row.values.get(key) for key in keys}
            yield {"run": row.name, **values, "state": row.run.state, "step": row.step, "validation_loss": row.loss}


def _aside(key: str) -> bool:
    """Whether ``key`` is no property of a run, or follows from others."""
    field = field_at(TrainConfig, key)
    return key in ASIDE or (field is not None and "computed" in field.metadata)


def _best_first(row: Row) -> tuple[bool, float, str]:
    return row.loss is None, row.loss or 0.0, row.name


def _row(folder: Path, run: record.RunRecord) -> Row:
    values = dict(leaves(run.content["config"]))
    name = str(run.folder.relative_to(folder)) if run.folder != folder else str(folder)
    step, loss = _measured(run.folder / losses.FILE)
    if run.state == record.FINISHED:
        loss = run.result.get("validation_loss", loss)
    return Row(name, run, run.step if run.step is not None else step, loss, values)


def _measured(file: Path) -> tuple[int | None, float | None]:
    """The last step of a loss table, and the last validation loss."""
    step: int | None = None
    loss: float | None = None
    try:
        with file.open(newline="", encoding="utf-8") as table:
            for row in csv.DictReader(table):
                step = int(row["step"])
                loss = float(row["validation_loss"]) if row["validation_loss"] else loss
    except (OSError, ValueError, KeyError, TypeError):  # not there yet, or its last line is not whole
        pass
    return step, loss


def _shown(value: object) -> str:
    """A float with six digits: that is enough to tell the points of a sweep."""
    return f"{value:.6g}" if isinstance(value, float) else show(value, width=40)


def compare(folders: Iterable[Path]) -> Comparison:
    """All runs below several folders, in one comparison."""
    found = [Comparison.below(folder) for folder in folders]
    rows = [row for each in found for row in each.rows]
    return Comparison(sorted(rows, key=_best_first), [problem for each in found for problem in each.unreadable])


def print_table(comparison: Comparison) -> None:
    """On standard output: as wide as the terminal, or as wide as it is where there is none."""
    print(comparison.table(shutil.get_terminal_size().columns if sys.stdout.isatty() else None))
