"""Plots of a comparison: ``gpt2hydra runs --plot`` and ``--curves``. Imports matplotlib (extra ``plot``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure  # without pyplot: no window, no state of the process
from matplotlib.ticker import FuncFormatter, NullLocator

from gpt2hydra.config.errors import UsageError, Violation
from gpt2hydra.runs.compared_run import ComparedRun
from gpt2hydra.runs.comparison import MAX_TICK_LABELS, SEED_KEY, Comparison, figure_label, is_number, needs_log_axis, sort_key
from gpt2hydra.utils.formatting import error_reason
from gpt2hydra.utils.table import short_headings

COLORS = ("#1f4e79", "#c4501b", "#3b8f5a", "#7b4ea1", "#a5850b", "#5f6a72", "#b0306a", "#2a9d9d")


def plot_losses(comparison: Comparison, file: Path, x: str | None = None, by: Sequence[str] = ()) -> None:
    """Draw the mean validation loss over the column ``x``, and its spread over keys except ``x`` and ``by``.

    Finished runs make the means; others are crosses.

    Args:
        x: by default the key with most values; the seed only if no other key differs.
        by: columns; each combination of their values has a line. Default: the key with the next most values.

    Raises:
        UsageError: nothing differs, no loss is known or comparable, or the file cannot be written.
    """
    measured = comparison.where(lambda run: run.loss is not None)
    _check_comparable(measured, [x, *by], "--plot", file)
    keys = _keys_to_plot(measured)
    if x is None:
        x = next((key for key in keys if key not in by), None)
    if x is None or not measured.runs:
        rule = "has nothing to draw: no key differs" if measured.runs else "has nothing to draw: no loss was measured"
        raise UsageError([Violation("--plot", str(file), f"{rule} in the {len(comparison.runs)} runs")])
    if not by:
        together = next((key_group for key_group in measured.key_groups() if x in key_group), [x])
        by = [key for key in keys if key not in together and key != SEED_KEY][:1]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    ax = figure.add_subplot()
    positions = _positions(measured.runs, x)
    for number, (values, group) in enumerate(measured.group_by(by)):
        _draw_line(ax, group, x, positions, COLORS[number % len(COLORS)], ", ".join(map(figure_label, values)))
    _label_axis(ax, measured.runs, x, positions)
    ax.set_xlabel(", ".join(next((key_group for key_group in measured.key_groups() if x in key_group), [x])))
    ax.set_title(_title(measured, x, by), loc="left", fontsize=10)
    _save_figure(figure, ax, ", ".join(short_headings(by)), "--plot", file)


def plot_curves(comparison: Comparison, file: Path, by: Sequence[str] = ()) -> None:
    """Plot the validation loss over the steps, a curve for each run.

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
    ax = figure.add_subplot()
    keys = by or [key_group[0] for key_group in measured.key_groups()] or ["run"]
    groups = measured.group_by(by) if by else [((), Comparison([run])) for run in measured.runs]
    for number, (_, group) in enumerate(groups):
        label = ", ".join(figure_label(group.runs[0].values.get(key)) for key in keys)
        for run in group.runs:
            named = run is group.runs[0] and number < len(COLORS)
            color = COLORS[number] if number < len(COLORS) else "#c8ccd0"
            ax.plot(*zip(*run.curve, strict=True), color=color, linewidth=1.2, label=label if named else None)
    others = f"; in gray: {len(groups) - len(COLORS)} more" if len(groups) > len(COLORS) else ""
    ax.set_title(f"validation loss{others}", loc="left", fontsize=10)
    ax.set_xlabel("step")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    _save_figure(figure, ax, ", ".join(short_headings(keys)), "--curves", file)


# --------------------------------------------------------------------------------------------------------------- choosing


def _keys_to_plot(comparison: Comparison) -> list[str]:
    """One key of each group that changes together: those with most values first, the seed last."""
    firsts = [key_group[0] for key_group in comparison.key_groups()]
    return sorted(firsts, key=lambda key: (key == SEED_KEY, -len({repr(run.values.get(key)) for run in comparison.runs})))


def _check_comparable(comparison: Comparison, chosen: Sequence[str | None], option: str, file: Path) -> None:
    """Raise UsageError if the losses cannot be compared, unless the conditions that differ are ``chosen``."""
    loss_conditions = [name for name in comparison.differing_loss_conditions() if name not in chosen]
    if loss_conditions:
        differ = ", ".join(loss_conditions)
        rule = f"would draw losses that cannot be compared: the runs differ in {differ}; choose some with --filter"
        raise UsageError([Violation(option, str(file), rule)])


# ---------------------------------------------------------------------------------------------------------------- drawing


def _draw_line(ax: Axes, group: Comparison, x: str, positions: dict[str, float], color: str, label: str) -> None:
    """Draw mean and standard deviation of the loss at each ``x``, and a cross for each unfinished run."""
    means = [(positions[repr(values[0])], runs.mean_loss()) for values, runs in group.group_by([x])]
    points = sorted((place, loss) for place, loss in means if loss.mean is not None)
    ax.errorbar(
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
    others = [run for run in group.runs if not run.is_finished]
    ax.plot([positions[repr(run.values.get(x))] for run in others], [run.loss or 0.0 for run in others], "x", color=color)


def _title(comparison: Comparison, x: str, by: Sequence[str]) -> str:
    """Format what a point is: a loss, or the mean over the keys that are neither ``x`` nor in ``by``."""
    cells = [group for _, group in comparison.group_by([x, *by])]
    over = list(dict.fromkeys(key for cell in cells for key in cell.differing_keys()))
    most = max(cell.mean_loss().count for cell in cells)
    lines = ["validation loss at the end"]
    if most > 1:
        over_what = f" over {', '.join(over[:3])}{', ...' if len(over) > 3 else ''}" if over else ""
        lines.append(f"mean ± standard deviation of up to {most} runs{over_what}")
    if not all(run.is_finished for run in comparison.runs):
        lines.append("×: a run that has not finished, its last measurement")
    return "\n".join(lines)


def _positions(runs: Iterable[ComparedRun], key: str) -> dict[str, float]:
    """The position of each value along the axis: a number is its own position, a text has its rank."""
    values = {repr(run.values.get(key)): run.values.get(key) for run in runs}
    if all(is_number(value) for value in values.values()):
        return {name: float(value) for name, value in values.items() if is_number(value)}
    ordered = sorted(values, key=lambda name: sort_key(values[name]))
    return {name: float(place) for place, name in enumerate(ordered)}


def _label_axis(ax: Axes, runs: Sequence[ComparedRun], key: str, positions: dict[str, float]) -> None:
    """Label the axis with the values as they are typed. A wide range of numbers makes it logarithmic."""
    values = {repr(run.values.get(key)): run.values.get(key) for run in runs}
    if all(map(is_number, values.values())) and needs_log_axis([*positions.values()]):
        ax.set_xscale("log")
        ax.xaxis.set_minor_locator(NullLocator())
    if len(values) <= MAX_TICK_LABELS:
        ax.set_xticks([positions[name] for name in values], [figure_label(value) for value in values.values()])


def _save_figure(figure: Figure, ax: Axes, legend: str, option: str, file: Path) -> None:
    ax.set_ylabel("loss (nats per token)")
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    _, labels = ax.get_legend_handles_labels()
    if any(labels) and (len(labels) > 1 or legend):
        ax.legend(frameon=False, title=legend, fontsize=8, title_fontsize=8)
    try:
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise UsageError([Violation(option, str(file), f"cannot be written: {error_reason(error)}")]) from None
