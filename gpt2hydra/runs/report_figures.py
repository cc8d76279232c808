"""The figures of ``gpt2hydra report``: loss curves, parallel coordinates. Imports plotly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]

from gpt2hydra.runs.compared_run import ComparedRun
from gpt2hydra.runs.comparison import MAX_TICK_LABELS, Comparison, figure_label, is_number, needs_log_axis, sort_key
from gpt2hydra.utils.table import short_headings

FONT = {"family": "system-ui, sans-serif", "size": 13}


def loss_curves(comparison: Comparison) -> go.Figure:
    """Validation loss over the steps. A click in the legend hides a curve, a double click all others."""
    figure = go.Figure()
    keys = [key_group[0] for key_group in comparison.key_groups()]
    for run in comparison.runs:
        if not run.curve:
            continue
        settings = ", ".join(
            f"{name} {figure_label(run.config.get(key))}" for name, key in zip(short_headings(keys), keys, strict=True)
        )
        shown = f"<b>%{{fullData.name}}</b><br>step %{{x:,}}<br>loss %{{y:.4f}}<br>{_escape(settings)}<extra></extra>"
        figure.add_scatter(
            x=[step for step, _ in run.curve],
            y=[loss for _, loss in run.curve],
            name=run.name,
            mode="lines+markers",
            marker={"size": 4},
            line={"width": 1.5},
            hovertemplate=shown,
        )
    figure.update_layout(
        **_layout(460),
        xaxis={"title": "step", "rangemode": "tozero"},
        yaxis={"title": "validation loss (nats per token)"},
        legend={"title": {"text": "run (click: off and on)"}},
        showlegend=True,
        updatemenus=[_scale_buttons()],
    )
    return figure


def _scale_buttons() -> dict[str, Any]:
    buttons = [
        {"label": scale, "method": "relayout", "args": [{"yaxis.type": scale, "yaxis.autorange": True}]}
        for scale in ("linear", "log")
    ]
    return {"type": "buttons", "direction": "right", "x": 0, "xanchor": "left", "y": 1.15, "buttons": buttons}


def parallel_coordinates(comparison: Comparison) -> go.Figure | None:
    """Plot a line for each run with a loss, through its values of differing keys; None for fewer than two."""
    measured = comparison.where(lambda run: run.loss is not None)
    key_groups = measured.key_groups()
    if len(measured.runs) < 2 or not key_groups:
        return None
    losses = [run.loss or 0.0 for run in measured.runs]
    names = short_headings([key_group[0] for key_group in key_groups])
    dimensions = [_dimension(measured.runs, key_group[0], name) for key_group, name in zip(key_groups, names, strict=True)]
    loss = {"label": "validation loss", "values": losses, "tickformat": ".3f"}
    color = {"color": losses, "colorscale": [[0, "#c4501b"], [1, "#1f4e79"]], "showscale": True}
    figure = go.Figure(go.Parcoords(dimensions=[*dimensions, loss], line=color))
    figure.update_layout(**_layout(380))
    return figure


def _dimension(runs: Sequence[ComparedRun], key: str, label: str) -> dict[str, Any]:
    """An axis with its values as they are typed: texts by rank, a wide range of numbers by logarithm."""
    values = [run.config.get(key) for run in runs]
    distinct = {repr(value): value for value in sorted(values, key=sort_key)}
    numbers = {name: float(value) for name, value in distinct.items() if is_number(value)}
    if len(numbers) == len(distinct):
        logarithmic = needs_log_axis([*numbers.values()])
        places = {name: math.log10(number) for name, number in numbers.items()} if logarithmic else numbers
    else:
        places = {name: float(number) for number, name in enumerate(distinct)}
    named = {"tickvals": [*places.values()], "ticktext": [figure_label(value) for value in distinct.values()]}
    return {
        "label": label,
        "values": [places[repr(value)] for value in values],
        **(named if len(distinct) <= MAX_TICK_LABELS else {}),
    }


def _layout(height: int) -> dict[str, Any]:
    return {
        "height": height,
        "font": FONT,
        "template": "plotly_white",
        "margin": {"l": 70, "r": 40, "t": 60, "b": 50},
    }


def _escape(text: str) -> str:
    """Escape text for plotly, which reads ``<`` as a tag and ``%{`` as a placeholder."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("%{", "% {")
