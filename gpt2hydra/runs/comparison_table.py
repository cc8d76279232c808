"""The table of a comparison: text that fits a terminal, or rows for CSV and JSON."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpt2hydra.runs.compared_run import LOSS
from gpt2hydra.runs.comparison import Comparison, MeanLoss
from gpt2hydra.utils.formatting import format_value
from gpt2hydra.utils.table import format_table, numeric_columns, short_headings

UNLIMITED_WIDTH = 10_000
"""Characters of a line if the width of the terminal is unknown."""


def format_runs(comparison: Comparison, columns: Sequence[str] | None = None, by: Sequence[str] = (), width: int = 0) -> str:
    """Format a table of runs; if not all losses can be compared, one for each group in which they can.

    Args:
        columns: shown of each run, instead of the keys that differ, state and loss.
        by: columns; each combination of their values has a line, with the mean loss of its runs.
        width: characters of a line. Columns that do not fit are left out and listed below. 0: the width of
            the terminal.
    """
    width = width or shutil.get_terminal_size((UNLIMITED_WIDTH, 24)).columns
    groups = comparison.comparable_groups()
    if len(groups) < 2:
        return "\n".join(_lines(comparison, columns, by, width))
    names = comparison.differing_loss_conditions()
    parts = [f"Losses cannot be compared between these tables: their runs differ in {', '.join(names)}."]
    for group in groups:
        loss_conditions = group.runs[0].loss_conditions
        title = ", ".join(f"{name} = {format_value(loss_conditions[name])}" for name in names)
        parts.append("\n".join([f"== {title}", *_lines(group, columns, by, width)]))
    return "\n\n".join(parts)


def table_rows(
    comparison: Comparison, columns: Sequence[str] | None = None, by: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """Yield the table as data: each run with its columns, or each group with mean, spread and n.

    If not all losses can be compared, ``comparable_group`` is the number of a group in which they can.
    """
    groups = comparison.comparable_groups()
    for number, group in enumerate(groups, 1):
        numbered = {"comparable_group": number} if len(groups) > 1 else {}
        if by:
            shown = _constant_columns(group, by)
            for runs in _sorted_groups(group, by):
                loss, values = runs.mean_loss(), runs.runs[0].values
                yield {**{key: values.get(key) for key in shown}, **_mean_values(runs, loss), **numbered}
            continue
        chosen = columns or ["run", *comparison.differing_keys(), "state", "step", LOSS]
        for run in group.runs:
            yield {**{key: run.values.get(key) for key in chosen}, **numbered}


def _mean_values(runs: Comparison, loss: MeanLoss) -> dict[str, Any]:
    return {
        "n": loss.count,
        "unfinished": len(runs.runs) - loss.count,
        f"mean_{LOSS}": loss.mean,
        f"spread_{LOSS}": loss.spread,
    }


# ------------------------------------------------------------------------------------------------------------------ text


def _lines(comparison: Comparison, columns: Sequence[str] | None, by: Sequence[str], width: int) -> Iterator[str]:
    if by:
        rows = [*_group_rows(comparison, by)]
        yield from format_table(rows, right=numeric_columns(rows), width=width)
    elif columns:
        rows = [
            short_headings(columns),
            *([_format_cell(run.values.get(key), key) for key in columns] for run in comparison.runs),
        ]
        yield from format_table(rows, right=numeric_columns(rows), width=width)
    else:
        yield from _lines_that_fit(comparison, width)
    reasons = [
        f"{run.name}: {run.run_record.content['reason']}" for run in comparison.runs if "reason" in run.run_record.content
    ]
    if reasons:
        yield from ("", *reasons)


def _lines_that_fit(comparison: Comparison, width: int) -> Iterator[str]:
    """Yield a table of differing keys, state and loss. Keys that do not fit are listed below it."""
    keys = comparison.differing_keys()
    redundant = [key for key_group in comparison.key_groups() for key in key_group[1:]]
    shown = list(keys)
    while shown and max(map(len, _format_table(comparison, shown))) > width:
        shown.remove(next((key for key in reversed(shown) if key in redundant), shown[-1]))
    yield from _format_table(comparison, shown)
    left_out = [key for key in keys if key not in shown]
    if left_out:
        yield from ("", f"{len(left_out)} more {'keys differ' if len(left_out) > 1 else 'key differs'}: {', '.join(left_out)}")


def _format_table(comparison: Comparison, keys: Sequence[str]) -> list[str]:
    head = ["run", *short_headings(keys), "state", "validation loss"]
    body = (
        [run.name, *(_format_cell(run.config.get(key)) for key in keys), run.state, _format_cell(run.loss, LOSS)]
        for run in comparison.runs
    )
    rows = [head, *body]
    return [*format_table(rows, right=numeric_columns(rows), width=UNLIMITED_WIDTH)]


def _group_rows(comparison: Comparison, by: Sequence[str]) -> Iterator[list[str]]:
    shown, groups = _constant_columns(comparison, by), _sorted_groups(comparison, by)
    means = [group.mean_loss() for group in groups]
    unfinished = any(mean.count < len(group.runs) for mean, group in zip(means, groups, strict=True))
    yield [*short_headings(shown), "mean validation loss", "±", "n", *["unfinished"] * unfinished]
    for mean, group in zip(means, groups, strict=True):
        cells = [_format_cell(group.runs[0].values.get(key), key) for key in shown]
        yield [
            *cells,
            _format_cell(mean.mean, LOSS),
            _format_cell(mean.spread, LOSS),
            str(mean.count),
            *[str(len(group.runs) - mean.count)] * unfinished,
        ]


def _sorted_groups(comparison: Comparison, by: Sequence[str]) -> list[Comparison]:
    """The groups of runs, the best mean first."""
    groups = [group for _, group in comparison.group_by(by)]
    return sorted(groups, key=lambda group: (group.mean_loss().mean is None, group.mean_loss().mean or 0.0))


def _constant_columns(comparison: Comparison, by: Sequence[str]) -> list[str]:
    """The columns of ``by``, and the keys that differ between the groups but are constant in each."""
    groups = [group for _, group in comparison.group_by(by)]
    within = {key for group in groups for key in group.differing_keys()}
    return [*by, *(key for key in comparison.differing_keys() if key not in within and key not in by and len(groups) > 1)]


def _format_cell(value: object, column: str = "") -> str:
    """Format a cell. A float has six digits, enough to distinguish the points of a sweep."""
    if value is None and "." not in column:
        return ""
    if column == LOSS and isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:.6g}" if isinstance(value, float) else format_value(value, width=40)


def csv_rows(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[Any]]:
    """Yield a header and rows for a CSV file."""
    head = [*dict.fromkeys(key for each in rows for key in each)]
    yield head
    yield from ([each.get(key) for key in head] for each in rows)
