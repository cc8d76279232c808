"""``--filter 'learning_rate<1e-3 state=finished'``: runs that meet all conditions. Standard library only."""

from __future__ import annotations

import operator
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gpt2hydra.config.errors import UsageError, Violation
from gpt2hydra.runs.compared_run import ComparedRun
from gpt2hydra.runs.comparison import Comparison, is_number
from gpt2hydra.utils.formatting import format_value, pluralize

OPTION = "--filter"

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}

_CONDITION = re.compile(r"([\w.]+)(<=|>=|!=|==|<|>|=)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Condition:
    """One condition on a column. Numbers are compared as numbers, all else as it is written in YAML."""

    column: str
    operator: str
    value: str

    def __call__(self, run: ComparedRun) -> bool:
        """Whether a run meets it. A run without a value in the column is neither smaller nor larger."""
        actual, wanted = run.values.get(self.column), _number(self.value)
        compare = OPERATORS[self.operator]
        if is_number(actual) and wanted is not None:
            return compare(float(actual), wanted)
        return self.operator in ("=", "==", "!=") and compare(format_value(actual), self.value)


def apply_filter(comparison: Comparison, text: str) -> Comparison:
    """Return the runs that meet all conditions in ``text``, which are separated by spaces.

    Raises:
        UsageError: a condition cannot be read, no run has its column, it compares text by size, or no run
            meets all.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError([Violation(OPTION, text, f"cannot be read: {error}")]) from None
    conditions = [_parse(comparison, word) for word in words]
    chosen = comparison.where(lambda run: all(condition(run) for condition in conditions))
    if comparison.runs and not chosen.runs:
        raise UsageError([Violation(OPTION, text, _no_match(comparison, conditions))])
    return chosen


def _parse(comparison: Comparison, word: str) -> Condition:
    found = _CONDITION.fullmatch(word)
    if found is None:
        rule = f"is no condition; write KEY=VALUE, or with {', '.join(each for each in OPERATORS if each not in '==')}"
        raise UsageError([Violation(OPTION, word, rule)])
    column, sign, value = comparison.resolve_column(found[1], OPTION), found[2], found[3]
    if sign in ("<", ">", "<=", ">=") and _number(value) is None:
        raise UsageError([Violation(OPTION, word, f"{sign} needs a number, not {format_value(value)}")])
    return Condition(column, sign, value)


def _no_match(comparison: Comparison, conditions: Sequence[Condition]) -> str:
    """Return the message if no run is left: the values in the column of the first unmet condition."""
    rule = f"none of the {pluralize(len(comparison.runs), 'run')} meets it"
    for condition in conditions:
        if not any(map(condition, comparison.runs)):
            present = dict.fromkeys(format_value(run.values.get(condition.column), 30) for run in comparison.runs)
            listed = ", ".join([*present][:8]) + (", ..." if len(present) > 8 else "")
            return f"{rule}; {condition.column} is {listed}"
    return rule


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
