"""A picture of runs side by side: ``gpt2hydra runs --plot FILE.png``. Imports matplotlib, the extra ``plot``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.runs import record
from gpt2hydra.runs.comparison import Comparison, Row
from gpt2hydra.utils.formatting import reason_of, show


def plot_runs(comparison: Comparison, file: Path) -> None:
    """Draw the validation loss over the one key that differs, with a line for each value of the second.

    Raises:
        ConfigError: none or more than two keys differ, no loss was measured, or the file cannot be written.
    """
    measured = Comparison([row for row in comparison.rows if row.loss is not None], ())
    axes = measured.axes()
    if not 1 <= len(axes) <= 2:
        said = ", ".join(" with ".join(keys) for keys in axes) or "none"
        rule = f"draws the loss over one key or two; of the {len(measured.rows)} runs with a loss, these differ: {said}"
        raise ConfigError([Violation("--plot", str(file), rule)])
    axes.sort(key=lambda keys: -_distinct(measured.rows, keys[0]))  # the key with most values lies along the axis
    _draw(measured.rows, axes, file)


def _distinct(rows: Sequence[Row], key: str) -> int:
    return len({repr(row.values[key]) for row in rows})


def _draw(rows: Sequence[Row], axes: Sequence[Sequence[str]], file: Path) -> None:
    from matplotlib.figure import Figure  # without pyplot: no window, no state of the process

    (x, *_), others = axes[0], axes[1:]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    plane = figure.add_subplot()
    positions = _positions(rows, x)
    for number, (label, line) in enumerate(_lines(rows, [keys[0] for keys in others])):
        points = sorted((positions[repr(row.values[x])], row.loss or 0.0, row.run.state) for row in line)
        color = COLORS[number % len(COLORS)]
        plane.plot([point[0] for point in points], [point[1] for point in points], color=color, linewidth=1.4, label=label)
        for state, marker in (("finished", "o"), ("other", "x")):
            these = [point for point in points if (point[2] == record.FINISHED) == (state == "finished")]
            plane.plot(*zip(*[point[:2] for point in these], strict=True) if these else ([], []), marker, color=color)
    if all(row.run.state == record.FINISHED for row in rows):
        title = "validation loss at the end"
    else:
        title = "validation loss, at the end (●) or the last that was measured (×)"
    _name(plane, rows, x, positions)
    plane.set_xlabel(", ".join(axes[0]))
    plane.set_ylabel("loss (nats per token)")
    plane.set_title(title, loc="left")
    plane.grid(color="#dddddd", linewidth=0.6)
    plane.spines[["top", "right"]].set_visible(False)
    if others:
        plane.legend(frameon=False, title=", ".join(others[0]))
    try:
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise ConfigError([Violation("--plot", str(file), f"cannot be written: {reason_of(error)}")]) from None


COLORS = ("#1f4e79", "#c4501b", "#3b8f5a", "#7b4ea1", "#a5850b", "#5f6a72")


def _lines(rows: Sequence[Row], keys: Sequence[str]) -> list[tuple[str, list[Row]]]:
    """``(label, runs)`` for each value of the second key, in the order of the values."""
    if not keys:
        return [("", list(rows))]
    values = {repr(row.values[keys[0]]): row.values[keys[0]] for row in rows}
    ordered = sorted(values.values(), key=_in_order)
    return [(show(value), [row for row in rows if row.values[keys[0]] == value]) for value in ordered]


def _positions(rows: Sequence[Row], key: str) -> dict[str, float]:
    """Where each value of the key lies along the axis: numbers where they are, words in their order."""
    values = {repr(row.values[key]): row.values[key] for row in rows}
    if all(_is_number(value) for value in values.values()):
        return {name: float(value) for name, value in values.items()}
    ordered = sorted(values, key=lambda name: _in_order(values[name]))
    return {name: float(place) for place, name in enumerate(ordered)}


def _in_order(value: Any) -> tuple[bool, float, str]:
    return (False, float(value), "") if _is_number(value) else (True, 0.0, show(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _name(plane: Any, rows: Sequence[Row], key: str, positions: dict[str, float]) -> None:
    """Name the values along the axis as they are typed; a wide range of numbers gets a logarithmic axis."""
    values = {repr(row.values[key]): row.values[key] for row in rows}
    places = sorted(positions.values())
    if all(map(_is_number, values.values())) and places[0] > 0 and places[-1] / places[0] >= WIDE:
        plane.set_xscale("log")
        plane.xaxis.set_minor_locator(_nowhere())
    if len(values) <= MOST_NAMES:
        plane.set_xticks([positions[name] for name in values], [show(value) for value in values.values()])


WIDE = 8
"""The largest over the smallest value from which on an axis is logarithmic."""

MOST_NAMES = 12
"""Values along the axis that are named one by one."""


def _nowhere() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()
