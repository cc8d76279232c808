"""Pictures of ``gpt2hydra runs``: ``--plot FILE.png``, ``--curves``. Imports matplotlib."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure  # without pyplot: no window, no state of the process
from matplotlib.ticker import FuncFormatter, NullLocator

from gpt2hydra.config.errors import UsageError, Violation
from gpt2hydra.runs.compared_run import ComparedRun
from gpt2hydra.runs.comparison import MOST_NAMES, SEED, Comparison, in_figure, in_order_of, is_number, is_wide
from gpt2hydra.utils.formatting import reason_of
from gpt2hydra.utils.table import headings

COLORS = ("#1f4e79", "#c4501b", "#3b8f5a", "#7b4ea1", "#a5850b", "#5f6a72", "#b0306a", "#2a9d9d")


def plot_losses(comparison: Comparison, file: Path, x: str | None = None, by: Sequence[str] = ()) -> None:
    """Draw the mean validation loss over a column, with its spread over all but that and ``by``.

    Finished runs make the means; others are crosses.

    Args:
        x: by default the key with most values, the seed last.
        by: a line for each combination of their values; by default those of the key with the next most
            values.

    Raises:
        UsageError: nothing differs, no loss was measured, losses cannot be compared, or the file cannot be
            written.
    """
    measured = comparison.where(lambda run: run.loss is not None)
    _check_comparable(measured, [x, *by], "--plot", file)
    axes = _axes_to_draw(measured)
    if x is None:
        x = next((key for key in axes if key not in by), None)
    if x is None or not measured.runs:
        rule = "has nothing to draw: no key differs" if measured.runs else "has nothing to draw: no loss was measured"
        raise UsageError([Violation("--plot", str(file), f"{rule} in the {len(comparison.runs)} runs")])
    if not by:
        together = next((axis for axis in measured.axes() if x in axis), [x])
        by = [key for key in axes if key not in together and key != SEED][:1]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    plane = figure.add_subplot()
    positions = _positions(measured.runs, x)
    for number, (values, group) in enumerate(measured.groups(by)):
        _draw_line(plane, group, x, positions, COLORS[number % len(COLORS)], ", ".join(map(in_figure, values)))
    _label_axis(plane, measured.runs, x, positions)
    plane.set_xlabel(", ".join(next((axis for axis in measured.axes() if x in axis), [x])))
    plane.set_title(_title(measured, x, by), loc="left", fontsize=10)
    _finish(figure, plane, ", ".join(headings(by)), "--plot", file)


def plot_curves(comparison: Comparison, file: Path, by: Sequence[str] = ()) -> None:
    """Draw the validation loss over the steps, a curve for each run.

    Args:
        by: runs with the same values of these columns have one color; by default each run has its own.

    Raises:
        UsageError: no loss was measured, losses cannot be compared, or the file cannot be written.
    """
    measured = comparison.where(lambda run: len(run.curve) > 1)
    if not measured.runs:
        rule = f"has nothing to draw: none of the {len(comparison.runs)} runs has two evaluations after the first step"
        raise UsageError([Violation("--curves", str(file), rule)])
    _check_comparable(measured, by, "--curves", file)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    plane = figure.add_subplot()
    keys = by or [axis[0] for axis in measured.axes()] or ["run"]
    groups = measured.groups(by) if by else [((), Comparison([run])) for run in measured.runs]
    for number, (_, group) in enumerate(groups):
        label = ", ".join(in_figure(group.runs[0].values.get(key)) for key in keys)
        for run in group.runs:
            named = run is group.runs[0] and number < len(COLORS)
            color = COLORS[number] if number < len(COLORS) else "#c8ccd0"
            plane.plot(*zip(*run.curve, strict=True), color=color, linewidth=1.2, label=label if named else None)
    others = f"; in gray: {len(groups) - len(COLORS)} more" if len(groups) > len(COLORS) else ""
    plane.set_title(f"validation loss{others}", loc="left", fontsize=10)
    plane.set_xlabel("step")
    plane.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    _finish(figure, plane, ", ".join(headings(keys)), "--curves", file)


# --------------------------------------------------------------------------------------------------------------- choosing


def _axes_to_draw(comparison: Comparison) -> list[str]:
    """The first of the keys that change together, those with most values first, the seed last."""
    firsts = [axis[0] for axis in comparison.axes()]
    return sorted(firsts, key=lambda key: (key == SEED, -len({repr(run.values.get(key)) for run in comparison.runs})))


def _check_comparable(comparison: Comparison, chosen: Sequence[str | None], option: str, file: Path) -> None:
    """Refuse losses of different texts in one picture, unless that is what was chosen to be drawn."""
    conditions = [name for name in comparison.differing_conditions() if name not in chosen]
    if conditions:
        differ = ", ".join(conditions)
        rule = f"would draw losses that cannot be compared: the runs differ in {differ}; choose some with --filter"
        raise UsageError([Violation(option, str(file), rule)])


# ---------------------------------------------------------------------------------------------------------------- drawing


def _draw_line(plane: Axes, group: Comparison, x: str, positions: dict[str, float], color: str, label: str) -> None:
    """Mean loss and standard deviation at each value of ``x``; a cross for each run that has not finished."""
    finished = [(positions[repr(values[0])], runs.mean_loss()) for values, runs in group.groups([x])]
    points = sorted((place, loss) for place, loss in finished if loss.mean is not None)
    plane.errorbar(
        [place for place, _ in points],
        [loss.mean or 0.0 for _, loss in points],
        [loss.spread or 0.0 for _, loss in points] if any(loss.spread for _, loss in points) else None,
        color=color,
        linewidth=1.4,
        marker="o",
        markersize=4.5,
        capsize=3,
        label=label,
    )
    others = [run for run in group.runs if not run.finished]
    plane.plot([positions[repr(run.values.get(x))] for run in others], [run.loss or 0.0 for run in others], "x", color=color)


def _title(comparison: Comparison, x: str, by: Sequence[str]) -> str:
    """What a point is: a loss, or the mean over the keys that neither the axis nor the lines show."""
    cells = [group for _, group in comparison.groups([x, *by])]
    over = list(dict.fromkeys(key for cell in cells for key in cell.differing()))
    most = max(cell.mean_loss().count for cell in cells)
    lines = ["validation loss at the end"]
    if most > 1:
        over_what = f" over {', '.join(over[:3])}{', ...' if len(over) > 3 else ''}" if over else ""
        lines.append(f"mean ± standard deviation of up to {most} runs{over_what}")
    if not all(run.finished for run in comparison.runs):
        lines.append("×: a run that has not finished, its last measurement")
    return "\n".join(lines)


def _positions(runs: Iterable[ComparedRun], key: str) -> dict[str, float]:
    """Where each value lies along the axis: numbers where they are, words in their order."""
    values = {repr(run.values.get(key)): run.values.get(key) for run in runs}
    if all(is_number(value) for value in values.values()):
        return {name: float(value) for name, value in values.items() if is_number(value)}
    ordered = sorted(values, key=lambda name: in_order_of(values[name]))
    return {name: float(place) for place, name in enumerate(ordered)}


def _label_axis(plane: Axes, runs: Sequence[ComparedRun], key: str, positions: dict[str, float]) -> None:
    """The values along the axis as they are typed. A wide range of numbers makes the axis logarithmic."""
    values = {repr(run.values.get(key)): run.values.get(key) for run in runs}
    if all(map(is_number, values.values())) and is_wide([*positions.values()]):
        plane.set_xscale("log")
        plane.xaxis.set_minor_locator(NullLocator())
    if len(values) <= MOST_NAMES:
        plane.set_xticks([positions[name] for name in values], [in_figure(value) for value in values.values()])


def _finish(figure: Figure, plane: Axes, legend: str, option: str, file: Path) -> None:
    plane.set_ylabel("loss (nats per token)")
    plane.grid(color="#dddddd", linewidth=0.6)
    plane.spines[["top", "right"]].set_visible(False)
    _, labels = plane.get_legend_handles_labels()
    if any(labels) and (len(labels) > 1 or legend):
        plane.legend(frameon=False, title=legend, fontsize=8, title_fontsize=8)
    try:
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise UsageError([Violation(option, str(file), f"cannot be written: {reason_of(error)}")]) from None
