"""The table of a comparison: text for a terminal, records for a program. Standard library only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpt2hydra.runs.compared_run import LOSS
from gpt2hydra.runs.comparison import Comparison, MeanLoss
from gpt2hydra.utils.formatting import show
from gpt2hydra.utils.table import figures, headings, table

NO_LIMIT = 10_000
"""Characters of a line where nothing says how wide the terminal is."""


def format_runs(comparison: Comparison, columns: Sequence[str] | None = None, by: Sequence[str] = (), width: int = 0) -> str:
    """A table of runs; one for each group of runs whose losses can be compared, below a line that says so.

    Args:
        columns: what to show of each run in place of what differs, state and loss.
        by: a line for each combination of the values of these columns, with the mean loss of the runs that
            have them.
        width: characters of a line; columns are left out, and named below, where they do not fit. 0: that of
            the terminal.
    """
    width = width or shutil.get_terminal_size((NO_LIMIT, 24)).columns
    groups = comparison.comparable()
    if len(groups) < 2:
        return "\n".join(_lines(comparison, columns, by, width))
    differing = comparison.differing_conditions()
    parts = [f"Losses cannot be compared between these tables: their runs differ in {', '.join(differing)}."]
    for group in groups:
        conditions = group.runs[0].conditions
        title = ", ".join(f"{name} = {show(conditions[name])}" for name in differing)
        parts.append("\n".join([f"== {title}", *_lines(group, columns, by, width)]))
    return "\n\n".join(parts)


def records(comparison: Comparison, columns: Sequence[str] | None = None, by: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """The table as data: each run with its columns, or each group with mean, spread and n.

    ``comparable_group`` is there where losses cannot all be compared: those of one number can.
    """
    groups = comparison.comparable()
    for number, group in enumerate(groups, 1):
        numbered = {"comparable_group": number} if len(groups) > 1 else {}
        if by:
            shown = _constant_columns(group, by)
            for runs in _groups(group, by):
                loss, values = runs.mean_loss(), runs.runs[0].values
                yield {**{key: values.get(key) for key in shown}, **_mean_record(runs, loss), **numbered}
            continue
        chosen = columns or ["run", *comparison.differing(), "state", "step", LOSS]
        for run in group.runs:
            yield {**{key: run.values.get(key) for key in chosen}, **numbered}


def _mean_record(runs: Comparison, loss: MeanLoss) -> dict[str, Any]:
    return {
        "n": loss.count,
        "unfinished": len(runs.runs) - loss.count,
        f"mean_{LOSS}": loss.mean,
        f"spread_{LOSS}": loss.spread,
    }


# ------------------------------------------------------------------------------------------------------------------ text


def _lines(comparison: Comparison, columns: Sequence[str] | None, by: Sequence[str], width: int) -> Iterator[str]:
    if by:
        rows = [*_rows_of_groups(comparison, by)]
        yield from table(rows, right=figures(rows), width=width)
    elif columns:
        rows = [headings(columns), *([_shown(run.values.get(key), key) for key in columns] for run in comparison.runs)]
        yield from table(rows, right=figures(rows), width=width)
    else:
        yield from _lines_that_fit(comparison, width)
    reasons = [f"{run.name}: {run.run.content['reason']}" for run in comparison.runs if "reason" in run.run.content]
    if reasons:
        yield from ("", *reasons)


def _lines_that_fit(comparison: Comparison, width: int) -> Iterator[str]:
    """What differs, state and loss of each run. Keys that do not fit are named below."""
    keys = comparison.differing()
    redundant = [key for axis in comparison.axes() for key in axis[1:]]
    shown = list(keys)
    while shown and max(map(len, _table_of(comparison, shown))) > width:
        shown.remove(next((key for key in reversed(shown) if key in redundant), shown[-1]))
    yield from _table_of(comparison, shown)
    left_out = [key for key in keys if key not in shown]
    if left_out:
        yield from ("", f"{len(left_out)} more {'keys differ' if len(left_out) > 1 else 'key differs'}: {', '.join(left_out)}")


def _table_of(comparison: Comparison, keys: Sequence[str]) -> list[str]:
    head = ["run", *headings(keys), "state", "validation loss"]
    body = (
        [run.name, *(_shown(run.config.get(key)) for key in keys), run.state, _shown(run.loss, LOSS)] for run in comparison.runs
    )
    rows = [head, *body]
    return [*table(rows, right=figures(rows), width=NO_LIMIT)]


def _rows_of_groups(comparison: Comparison, by: Sequence[str]) -> Iterator[list[str]]:
    shown, groups = _constant_columns(comparison, by), _groups(comparison, by)
    means = [group.mean_loss() for group in groups]
    unfinished = any(mean.count < len(group.runs) for mean, group in zip(means, groups, strict=True))
    yield [*headings(shown), "mean validation loss", "±", "n", *["unfinished"] * unfinished]
    for mean, group in zip(means, groups, strict=True):
        cells = [_shown(group.runs[0].values.get(key), key) for key in shown]
        yield [
            *cells,
            _shown(mean.mean, LOSS),
            _shown(mean.spread, LOSS),
            str(mean.count),
            *[str(len(group.runs) - mean.count)] * unfinished,
        ]


def _groups(comparison: Comparison, by: Sequence[str]) -> list[Comparison]:
    """The groups, the best mean first."""
    groups = [group for _, group in comparison.groups(by)]
    return sorted(groups, key=lambda group: (group.mean_loss().mean is None, group.mean_loss().mean or 0.0))


def _constant_columns(comparison: Comparison, by: Sequence[str]) -> list[str]:
    """The columns of ``by``, and the keys that differ but are one in each group: they come with those."""
    groups = [group for _, group in comparison.groups(by)]
    within = {key for group in groups for key in group.differing()}
    return [*by, *(key for key in comparison.differing() if key not in within and key not in by)] if len(groups) > 1 else [*by]


def _shown(value: object, column: str = "") -> str:
    """A cell. A float has six digits: enough to tell the points of a sweep."""
    if value is None and "." not in column:
        return ""
    if column == LOSS and isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:.6g}" if isinstance(value, float) else show(value, width=40)


def csv_rows(records_: Sequence[Mapping[str, Any]]) -> Iterator[list[Any]]:
    """A head and the rows of a spreadsheet."""
    head = [*dict.fromkeys(key for each in records_ for key in each)]
    yield head
    yield from ([each.get(key) for key in head] for each in records_)
