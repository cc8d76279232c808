"""The page of ``gpt2hydra report``, one HTML file for offline use. Imports plotly, the extra ``report``."""

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
from gpt2hydra.utils.formatting import counted, plain, show
from gpt2hydra.utils.table import headings
from gpt2hydra.version import __version__

LOSS_HEADING = "validation loss"

FIGURE = {"full_html": False, "include_plotlyjs": False, "config": {"displaylogo": False, "responsive": True}}


def report_page(comparison: Comparison, title: str) -> str:
    """The HTML of a report on some runs.

    Sections: a table of what differs, loss curves, parallel coordinates of what was swept, the plan and what
    was measured, samples, and a diff of any two.
    """
    page = Template(resources.files("gpt2hydra.runs").joinpath("report_page.html").read_text(encoding="utf-8"))
    groups = comparison.comparable()
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
    yield f"{counted(len(comparison.runs), 'run')}, by gpt2hydra {__version__}."
    conditions = comparison.differing_conditions()
    if conditions:
        names = ", ".join(conditions)
        yield f"Losses cannot be compared between runs that differ in {names}: these have figures of their own."
    if comparison.unreadable:
        yield f"Left out: {'; '.join(f'{each.key} {each.rule}' for each in comparison.unreadable)}."


# ---------------------------------------------------------------------------------------------------------------- figures


def _html(figure: Any, name: str) -> str:
    return str(figure.to_html(div_id=name, **FIGURE))


def _curves(comparison: Comparison, groups: Sequence[Comparison]) -> Iterator[str]:
    for number, group in enumerate(groups, 1):
        yield _with_conditions(comparison, group, _html(loss_curves(group), f"curves-{number}"))


def _parallel(comparison: Comparison, groups: Sequence[Comparison]) -> Iterator[str]:
    for number, group in enumerate(groups, 1):
        figure = parallel_coordinates(group)
        if figure is not None:
            yield _with_conditions(comparison, group, _html(figure, f"parallel-{number}"))


def _with_conditions(comparison: Comparison, group: Comparison, figure: str) -> str:
    """A figure below what its runs have in common and others have not."""
    conditions = group.runs[0].conditions
    names = [f"{name} = {show(conditions[name])}" for name in comparison.differing_conditions()]
    return f"<h3>{escape(', '.join(names))}</h3>\n{figure}" if names else figure


# ----------------------------------------------------------------------------------------------------------------- tables


def _runs_table(comparison: Comparison) -> str:
    keys = comparison.differing()
    head = ["run", *headings(keys), "state", "step", LOSS_HEADING]
    columns = ["run", *keys, "state", "step", LOSS]
    return _table("runs", head, [[run.values.get(key) for key in columns] for run in comparison.runs])


def _plans_table(comparison: Comparison) -> str:
    """A column for each figure that any run has."""
    pairs = [f"{kind}{name}" for name in ("steps", "seconds", "GB", "MFU") for kind in ("planned ", "")]
    head = ["run", "parameters", *pairs, "tokens/s"]
    columns = [*zip(head, zip(*map(_plan_row, comparison.runs), strict=True), strict=True)]
    known = [(name, values) for name, values in columns if any(value is not None for value in values)]
    return _table("plans", [name for name, _ in known], [*zip(*(values for _, values in known), strict=True)])


def _plan_row(run: ComparedRun) -> list[Any]:
    """What was planned and what was measured; a configuration of another version has no plan."""
    measured = run.values
    try:
        config = run.run.config(TrainConfig)
    except ConfigError:
        size = seconds = utilization = None
    else:
        size, utilization = parameters(config.model).total, config.hardware.utilization
        named = config.hardware.name != "this machine"  # the machine that reads is another than the one that trained
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
    """A table that is sorted by a click on a heading; ``data-value`` is what it is sorted by."""
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
    return f"<td>{escape(show(value, 60))}</td>"


# ------------------------------------------------------------------------------------------------------- samples and diff


def _samples(comparison: Comparison) -> Iterator[str]:
    for run in comparison.runs:
        sample = run.run.content.get("sample")
        if isinstance(sample, str):
            yield f"<details><summary>{escape(run.name)}</summary><pre>{escape(sample)}</pre></details>"


def _diff(comparison: Comparison) -> dict[str, Any]:
    """Run → the values of all keys that differ anywhere, for the page's script to show of any two."""
    keys = comparison.differing()
    measured = [key for key in ("state", "step", LOSS, "seconds", "tokens_per_second") if key in comparison.columns]
    return {run.name: {key: show(plain(run.values.get(key)), 200) for key in [*keys, *measured]} for run in comparison.runs}


def _json(value: Any) -> str:
    """JSON that may stand in a script element: nothing in it ends the element."""
    return json.dumps(value).replace("<", "\\u003c")
