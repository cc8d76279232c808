"""A comparison of runs: their differences, states and losses. Standard library only."""

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
from gpt2hydra.utils.formatting import did_you_mean, format_value

IGNORED_KEYS = ("resume", "dry_run", "preflight")
"""Keys that do not describe a run."""

SEED_KEY = "training.seed"


@dataclass(frozen=True)
class Comparison:
    """Several runs, the best first, and the violations of directories that could not be read."""

    runs: Sequence[ComparedRun]
    unreadable: Sequence[Violation] = ()

    @classmethod
    def read_below(cls, *folders: Path) -> Comparison:
        """Read all runs below some folders."""
        runs: list[ComparedRun] = []
        unreadable: list[Violation] = []
        for folder in folders:
            for each in record.find_runs(folder):
                name = str(each if each == folder or len(folders) > 1 else each.relative_to(folder))
                try:
                    runs.append(ComparedRun(name, record.read(each)))
                except ConfigError as error:
                    unreadable += error.violations
        return cls(runs, unreadable).sorted_by(LOSS)

    # --------------------------------------------------------------------------------------------------------- choosing

    def sorted_by(self, column: str, *, descending: bool = False) -> Comparison:
        """The runs sorted by a column; runs without a value come last."""
        by_name = sorted(self.runs, key=lambda run: run.name)
        present = [run for run in by_name if run.values.get(column) is not None]
        absent = [run for run in by_name if run.values.get(column) is None]
        in_order = sorted(present, key=lambda run: sort_key(run.values[column]), reverse=descending)
        return replace(self, runs=[*in_order, *absent])

    def where(self, condition: Callable[[ComparedRun], bool]) -> Comparison:
        """The runs that meet a condition."""
        return replace(self, runs=[run for run in self.runs if condition(run)])

    # ---------------------------------------------------------------------------------------------------------- columns

    @cached_property
    def columns(self) -> Sequence[str]:
        """Every column in which a run has a value; the configuration's keys in the schema's order."""
        found = dict.fromkeys(key for run in self.runs for key in run.values)
        keys = [key for key in keys_of(TrainConfig) if key in found]
        return (
            [key for key in found if key not in keys and "." not in key]
            + keys
            + [key for key in found if key not in keys and "." in key]
        )

    def resolve_column(self, name: str, option: str) -> str:
        """Return the column that ``name`` names: in full, or by the last part of a key if that is unique.

        Raises:
            UsageError: no column matches, or several do. ``option`` is the option with the name."""
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
            known = ", ".join(dict.fromkeys([*measured, *self.differing_keys()]))
            rule = f"no run has this column{near or f'; known: {known}, and every key of the configuration'}"
        raise UsageError([Violation(option, name, rule)])

    def differing_keys(self) -> list[str]:
        """The keys that do not have the same value in all runs, in the order of the schema."""
        keys = dict.fromkeys([*keys_of(TrainConfig), *(key for run in self.runs for key in run.config)])
        return [key for key in keys if _is_compared(key) and len({repr(run.config.get(key)) for run in self.runs}) > 1]

    def key_groups(self) -> list[list[str]]:
        """The keys that differ, grouped by those that change together: ``model=small,large`` changes 3."""
        groups: dict[tuple[int, ...], list[str]] = {}
        for key in self.differing_keys():
            values = [repr(run.config.get(key)) for run in self.runs]
            groups.setdefault(tuple(map(values.index, values)), []).append(key)
        return list(groups.values())

    # ----------------------------------------------------------------------------------------------------------- groups

    def group_by(self, columns: Sequence[str]) -> list[tuple[tuple[Any, ...], Comparison]]:
        """``(values, runs)`` for each combination of values of some columns, in their order."""
        found: dict[str, tuple[tuple[Any, ...], list[ComparedRun]]] = {}
        for run in self.runs:
            values = tuple(run.values.get(column) for column in columns)
            found.setdefault(repr(values), (values, []))[1].append(run)
        in_order = sorted(found.values(), key=lambda group: [sort_key(value) for value in group[0]])
        return [(values, Comparison(runs)) for values, runs in in_order]

    def comparable_groups(self) -> list[Comparison]:
        """The runs in groups within which losses can be compared, in the order of each group's first run."""
        found: dict[str, list[ComparedRun]] = {}
        for run in self.runs:
            found.setdefault(repr(run.loss_conditions), []).append(run)
        return [Comparison(runs) for runs in found.values()]

    def differing_loss_conditions(self) -> list[str]:
        """The names of the ``loss_conditions`` that differ between the runs; empty if losses can be compared."""
        names = self.runs[0].loss_conditions if self.runs else ()
        return [name for name in names if len({repr(run.loss_conditions[name]) for run in self.runs}) > 1]

    def mean_loss(self) -> MeanLoss:
        """The mean loss of the finished runs."""
        return MeanLoss.of(run.loss for run in self.runs if run.is_finished and run.loss is not None)


@dataclass(frozen=True)
class MeanLoss:
    """The mean of validation losses, and their sample standard deviation; None if there are too few."""

    mean: float | None
    spread: float | None
    count: int

    @classmethod
    def of(cls, losses: Iterable[float]) -> MeanLoss:
        """Compute the mean of any number of losses, also of none."""
        found = [*losses]
        return cls(fmean(found) if found else None, stdev(found) if len(found) > 1 else None, len(found))


def sort_key(value: Any) -> tuple[bool, float, str]:
    """Return a sort key: numbers by size, then everything else by its text."""
    return (False, float(value), "") if is_number(value) else (True, 0.0, str(value))


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number; true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def figure_label(value: Any) -> str:
    """Format a value for a figure. A float has six digits."""
    return f"{value:.6g}" if isinstance(value, float) else format_value(value, 30)


def needs_log_axis(numbers: Sequence[float]) -> bool:
    """Whether an axis of these numbers is logarithmic: the largest is at least 8 times the smallest."""
    return min(numbers) > 0 and max(numbers) / min(numbers) >= 8


MAX_TICK_LABELS = 12
"""An axis with more values does not label each of them."""


def _is_compared(key: str) -> bool:
    field = field_at(TrainConfig, key)
    return key not in IGNORED_KEYS and not (field is not None and "computed" in field.metadata)


def resolve_columns(comparison: Comparison, names: str, option: str) -> list[str]:
    """Return the columns of a comma-separated list of names.

    Raises:
        UsageError: a name matches no column, or several.
    """
    return [comparison.resolve_column(name.strip(), option) for name in names.split(",") if name.strip()]
