"""Runs compared: what differs between them, how far each came, and how well. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeGuard

from gpt2hydra.config.errors import ConfigError, UsageError, Violation
from gpt2hydra.config.keys import field_at, keys_of
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.runs import record
from gpt2hydra.runs.compared_run import LOSS, ComparedRun
from gpt2hydra.utils.formatting import did_you_mean, show

NOT_COMPARED = ("resume", "dry_run", "preflight")
"""Keys that say nothing about a run."""

SEED = "training.seed"


@dataclass(frozen=True)
class Comparison:
    """Several runs, the best first, and the directories of which nothing could be read, with the reason."""

    runs: Sequence[ComparedRun]
    unreadable: Sequence[Violation] = ()

    @classmethod
    def below(cls, *folders: Path) -> Comparison:
        """All runs below some folders."""
        runs: list[ComparedRun] = []
        unreadable: list[Violation] = []
        for folder in folders:
            for each in record.runs_below(folder):
                name = str(each if each == folder or len(folders) > 1 else each.relative_to(folder))
                try:
                    runs.append(ComparedRun(name, record.read(each)))
                except ConfigError as error:
                    unreadable += error.violations
        return cls(runs, unreadable).sorted_by(LOSS)

    # --------------------------------------------------------------------------------------------------------- choosing

    def sorted_by(self, column: str, *, descending: bool = False) -> Comparison:
        """The runs in the order of a column; those that have no value there come last."""
        by_name = sorted(self.runs, key=lambda run: run.name)
        present = [run for run in by_name if run.values.get(column) is not None]
        absent = [run for run in by_name if run.values.get(column) is None]
        in_order = sorted(present, key=lambda run: in_order_of(run.values[column]), reverse=descending)
        return replace(self, runs=[*in_order, *absent])

    def where(self, condition: Callable[[ComparedRun], bool]) -> Comparison:
        """The runs that meet a condition."""
        return replace(self, runs=[run for run in self.runs if condition(run)])

    # ---------------------------------------------------------------------------------------------------------- columns

    @cached_property
    def columns(self) -> Sequence[str]:
        """Every column that a run has a value in; keys of the configuration in the order of the schema."""
        found = dict.fromkeys(key for run in self.runs for key in run.values)
        keys = [key for key in keys_of(TrainConfig) if key in found]
        return (
            [key for key in found if key not in keys and "." not in key]
            + keys
            + [key for key in found if key not in keys and "." in key]
        )

    def column(self, name: str, option: str) -> str:
        """The column that a user means by ``name``: all of it, or the last part of one key.

        Raises:
            UsageError: no run has it; ``option`` is where the name was given.
        """
        if name in self.columns:
            return name
        ends = [key for key in self.columns if key.rpartition(".")[2] == name]
        if len(ends) == 1:
            return ends[0]
        if ends:
            rule = f"could be {' or '.join(ends)}"
        else:
            containing = [key for key in self.columns if name.lower() in key][:3]
            near = f"; did you mean {' or '.join(containing)}?" if containing else did_you_mean(name, self.columns)
            measured = [key for key in self.columns if any(key not in run.config for run in self.runs)]
            known = ", ".join(dict.fromkeys([*measured, *self.differing()]))
            rule = f"no run has this column{near or f'; known: {known}, and every key of the configuration'}"
        raise UsageError([Violation(option, name, rule)])

    def differing(self) -> list[str]:
        """The keys that do not have the same value in all runs, in the order of the schema."""
        keys = dict.fromkeys([*keys_of(TrainConfig), *(key for run in self.runs for key in run.config)])
        return [key for key in keys if _is_compared(key) and len({repr(run.config.get(key)) for run in self.runs}) > 1]

    def axes(self) -> list[list[str]]:
        """The keys that differ, those together that change together: ``model=small,large`` changes three."""
        groups: dict[tuple[int, ...], list[str]] = {}
        for key in self.differing():
            values = [repr(run.config.get(key)) for run in self.runs]
            groups.setdefault(tuple(map(values.index, values)), []).append(key)
        return list(groups.values())

    # ----------------------------------------------------------------------------------------------------------- groups

    def groups(self, columns: Sequence[str]) -> list[tuple[tuple[Any, ...], Comparison]]:
        """``(values, runs)`` for each combination of values of some columns, in their order."""
        found: dict[str, tuple[tuple[Any, ...], list[ComparedRun]]] = {}
        for run in self.runs:
            values = tuple(run.values.get(column) for column in columns)
            found.setdefault(repr(values), (values, []))[1].append(run)
        in_order = sorted(found.values(), key=lambda group: [in_order_of(value) for value in group[0]])
        return [(values, Comparison(runs)) for values, runs in in_order]

    def comparable(self) -> list[Comparison]:
        """The runs in groups within which losses can be compared, in the order of the best of each."""
        found: dict[str, list[ComparedRun]] = {}
        for run in self.runs:
            found.setdefault(repr(run.conditions), []).append(run)
        return [Comparison(runs) for runs in found.values()]

    def differing_conditions(self) -> list[str]:
        """The conditions that keep the losses of these runs from being compared; none where they can be."""
        names = self.runs[0].conditions if self.runs else ()
        return [name for name in names if len({repr(run.conditions[name]) for run in self.runs}) > 1]

    def mean_loss(self) -> MeanLoss:
        """Over the finished runs."""
        return MeanLoss.of(run.loss for run in self.runs if run.finished and run.loss is not None)


@dataclass(frozen=True)
class MeanLoss:
    """The mean of validation losses, and their sample standard deviation; None where there are too few."""

    mean: float | None
    spread: float | None
    count: int

    @classmethod
    def of(cls, losses: Iterable[float]) -> MeanLoss:
        """Of some losses, which may be none."""
        found = [*losses]
        return cls(fmean(found) if found else None, stdev(found) if len(found) > 1 else None, len(found))


def in_order_of(value: Any) -> tuple[bool, float, str]:
    """A sort key: numbers by size, then everything else by its text."""
    return (False, float(value), "") if is_number(value) else (True, 0.0, str(value))


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number, which true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def in_figure(value: Any) -> str:
    """A value as a figure names it: a float has six digits."""
    return f"{value:.6g}" if isinstance(value, float) else show(value, 30)


def is_wide(numbers: Sequence[float]) -> bool:
    """Whether an axis of these numbers is logarithmic: the largest is a multiple of the smallest."""
    return min(numbers) > 0 and max(numbers) / min(numbers) >= 8


MOST_NAMES = 12
"""Values along an axis that are named one by one."""


def _is_compared(key: str) -> bool:
    field = field_at(TrainConfig, key)
    return key not in NOT_COMPARED and not (field is not None and "computed" in field.metadata)


def columns_named(comparison: Comparison, names: str, option: str) -> list[str]:
    """The columns of a list with commas.

    Raises:
        UsageError: no run has one of them.
    """
    return [comparison.column(name.strip(), option) for name in names.split(",") if name.strip()]
