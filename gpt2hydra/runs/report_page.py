"""The page of ``gpt2hydra report``: one HTML file for offline use. Imports plotly (extra ``report``)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from html import escape
from importlib import resources
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.runs.compared_run import LOSS, ComparedRun
from gpt2hydra.runs.comparison import Comparison, is_number
from gpt2hydra.runs.report_figures import loss_curves, parallel_coordinates
from gpt2hydra.sizing.counts import parameters
from gpt2hydra.sizing.plan import Plan
from gpt2hydra.utils.formatting import format_value, pluralize, to_jsonable
from gpt2hydra.utils.table import short_headings
from gpt2hydra.version import __version__

LOSS_HEADING = "validation loss"

FIGURE = {"full_html": False, "include_plotlyjs": False, "config": {"displaylogo": False, "responsive": True}}


def report_page(comparison: Comparison, title: str) -> str:
    """Return the HTML of a report on some runs.

    Sections: a table of the keys that differ, loss curves, parallel coordinates, plan and measurement,
    samples, and a diff of any two runs.
    """
    page = Template(resources.files("gpt2hydra.runs").joinpath("report_page.html").read_text(encoding="utf-8"))
    groups = comparison.comparable_groups()
    return page.substitute(
        title=escape(title),
        notes="\n".join(f"<p>{escape(note)}</p>" for note in _notes(comparison)),
        plotly=get_plotlyjs(),
        runs=_runs_table(comparison),
        curves="\n".join(_curves(comparison, groups)),
        parallel="\n".join(_parallel(comparison, groups)) or "<p>Fewer than two runs have a loss, or no key differs.</p>",
        plans=_plans_table(comparison),
        samples="\n".join(_samples(comparison)) or "<p>No run has recorded a sample.</p>",
        diff=_json(_diff(comparison)),
    )


def _notes(comparison: Comparison) -> Iterator[str]:
    yield f"{pluralize(len(comparison.runs), 'run')}, by gpt2hydra {__version__}."
    loss_conditions = comparison.differing_loss_conditions()
    if loss_conditions:
        names = ", ".join(loss_conditions)
        yield f"Losses cannot be compared between runs that differ in {names}: these have separate figures."
    if comparison.unreadable:
        yield f"Left out: {'; '.join(f'{each.key} {each.rule}' for each in comparison.unreadable)}."


# ---------------------------------------------------------------------------------------------------------------- figures


def _html(figure: Any, name: str) -> str:
    return str(figure.to_html(div_id=name, **FIGURE))


def _curves(comparison: Comparison, groups: Sequence[Comparison]) -> Iterator[str]:
    for number, group in enumerate(groups, 1):
        yield _under_heading(comparison, group, _html(loss_curves(group), f"curves-{number}"))


def _parallel(comparison: Comparison, groups: Sequence[Comparison]) -> Iterator[str]:
    for number, group in enumerate(groups, 1):
        figure = parallel_coordinates(group)
        if figure is not None:
            yield _under_heading(comparison, group, _html(figure, f"parallel-{number}"))


def _under_heading(comparison: Comparison, group: Comparison, figure: str) -> str:
    """Put a heading above a figure: the conditions of its runs that other runs do not share."""
    loss_conditions = group.runs[0].loss_conditions
    names = [f"{name} = {format_value(loss_conditions[name])}" for name in comparison.differing_loss_conditions()]
    return f"<h3>{escape(', '.join(names))}</h3>\n{figure}" if names else figure


# ----------------------------------------------------------------------------------------------------------------- tables


def _runs_table(comparison: Comparison) -> str:
    keys = comparison.differing_keys()
    head = ["run", *short_headings(keys), "state", "step", LOSS_HEADING]
    columns = ["run", *keys, "state", "step", LOSS]
    return _table("runs", head, [[run.values.get(key) for key in columns] for run in comparison.runs])


def _plans_table(comparison: Comparison) -> str:
    """The table of plan and measurement, without the columns in which no run has a value."""
    pairs = [f"{kind}{name}" for name in ("steps", "seconds", "GB", "MFU") for kind in ("planned ", "")]
    head = ["run", "parameters", *pairs, "tokens/s"]
    columns = [*zip(head, zip(*map(_plan_row, comparison.runs), strict=True), strict=True)]
    known = [(name, values) for name, values in columns if any(value is not None for value in values)]
    return _table("plans", [name for name, _ in known], [*zip(*(values for _, values in known), strict=True)])


def _plan_row(run: ComparedRun) -> list[Any]:
    """The row of planned and measured values; a configuration of another version has no plan."""
    measured = run.values
    try:
        config = run.run_record.config(TrainConfig)
    except ConfigError:
        size = seconds = utilization = None
    else:
        size, utilization = parameters(config.model).total, config.hardware.utilization
        named = config.hardware.name != "this machine"  # this machine may not be the one that trained
        seconds = Plan(config).seconds if named else None
    memory = [_gigabytes(measured.get(key)) for key in ("predicted_memory_bytes", "peak_memory_bytes")]
    return [
        run.name,
        size,
        measured.get("training.max_steps"),
        run.step,
        seconds,
        measured.get("seconds"),
        *memory,
        utilization if measured.get("mfu") is not None else None,
        measured.get("mfu"),
        measured.get("tokens_per_second"),
    ]


def _gigabytes(value: Any) -> float | None:
    return value / 1e9 if is_number(value) else None


def _table(name: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """An HTML table that a click on a heading sorts, by ``data-value``."""
    numbers = [any(map(is_number, column)) for column in zip(*rows, strict=True)]
    classes = [' class="number"' * right for right in numbers]
    cells = "".join(f'<th scope="col" tabindex="0"{each}>{escape(name)}</th>' for name, each in zip(head, classes, strict=True))
    body = "\n".join(f"<tr>{''.join(map(_cell, row, head))}</tr>" for row in rows)
    return f'<table id="{name}" class="sortable"><thead><tr>{cells}</tr></thead>\n<tbody>\n{body}\n</tbody></table>'


def _cell(value: Any, heading: str) -> str:
    if value is None:
        return "<td></td>"
    if is_number(value):
        text = f"{value:.4f}" if heading == LOSS_HEADING else f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
        return f'<td class="number" data-value="{float(value)!r}">{text}</td>'
    return f"<td>{escape(format_value(value, 60))}</td>"


# ------------------------------------------------------------------------------------------------------- samples and diff


def _samples(comparison: Comparison) -> Iterator[str]:
    for run in comparison.runs:
        sample = run.run_record.content.get("sample")
        if isinstance(sample, str):
            yield f"<details><summary>{escape(run.name)}</summary><pre>{escape(sample)}</pre></details>"


def _diff(comparison: Comparison) -> dict[str, Any]:
    """Run → its values of all keys that differ. The page's script shows the differences of any two runs."""
    keys = comparison.differing_keys()
    measured = [key for key in ("state", "step", LOSS, "seconds", "tokens_per_second") if key in comparison.columns]
    return {
        run.name: {key: format_value(to_jsonable(run.values.get(key)), 200) for key in [*keys, *measured]}
        for run in comparison.runs
    }


def _json(value: Any) -> str:
    """JSON for a script element, without ``<``, which could end the element."""
    return json.dumps(value).replace("<", "\\u003c")
