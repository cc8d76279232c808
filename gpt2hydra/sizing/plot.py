"""Draw the memory of plans and the learning rate. Imports matplotlib, the extra ``plot``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.sizing.counts import parameters
from gpt2hydra.sizing.memory import MEMORY_PARTS
from gpt2hydra.sizing.plan import Plan
from gpt2hydra.utils.formatting import abbreviate_number, error_reason, format_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OVERHEAD = "allocator overhead"
SHADES = ("#1f4e79", "#2e75b6", "#9dc3e6", "#f4b183", "#c55a11", "#a5a5a5", "#d9d9d9", "#eeeeee")
COLORS = dict(zip((*MEMORY_PARTS, OVERHEAD), SHADES, strict=True))

MAX_DEVICE_RATIO = 4
"""If the device has more than this multiple of the largest bar, only the legend shows it."""


def plot_sizes(plans: Mapping[str, Plan], file: Path) -> None:
    """Draw the predicted memory of a training step by part, for each size, and whether it fits the device.

    Raises:
        ConfigError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # without pyplot: no window, no state of the process

    figure = Figure(figsize=(9, 1.6 + 0.75 * len(plans)), layout="constrained")
    axes = figure.add_subplot()
    first = next(iter(plans.values()))
    device, step = first.device, first.memory.step
    largest = max(plan.memory.resident for plan in plans.values())
    unit, scale = ("GB", 10**9) if largest >= 10**9 else ("MB", 10**6)
    if device.usable is not None:
        limit = f"{device.name}: {format_bytes(device.usable)}"
        line: dict[str, Any] = {"color": "#c00000", "linestyle": "--"}
        if device.usable <= MAX_DEVICE_RATIO * largest:
            largest = max(largest, device.usable)
            axes.axvline(device.usable / scale, label=limit, **line)
        else:
            axes.plot([], [], label=f"{limit}, beyond this plot", **line)
    for name, plan in plans.items():
        _draw_bar(axes, name, plan, scale)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * largest / scale)
    each = f" on each of {device.count:,} devices ({step.strategy})" if device.count > 1 else ""
    axes.set_xlabel(f"predicted memory at the peak of a training step{each}, {unit} of {scale:,} bytes")
    axes.set_title(", ".join(_common_settings(plans.values())), loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    bars = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    order = [*(part for part in COLORS if part in bars), *(label for label in bars if label not in COLORS)]
    handles = [bars[label] for label in order]
    style = {"columnspacing": 1.2, "handlelength": 1.2, "handletextpad": 0.5, "frameon": False}
    figure.legend(handles, order, loc="outside lower center", ncols=len(order), **style)
    _save(figure, file, "--plot")


CURVE_POINTS = 2000
"""Points of a curve; more cannot be seen."""


def plot_schedule(training: TrainingConfig, file: Path) -> None:
    """Draw the learning rate of each step.

    Raises:
        ConfigError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # an extra
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    last = training.max_steps - 1
    steps = sorted(
        {*(round(last * point / CURVE_POINTS) for point in range(CURVE_POINTS + 1)), *(step for step, _ in _corners(training))}
    )
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(steps, [training.learning_rate_at(step) for step in steps], color="#2e75b6", linewidth=1.8, zorder=3)
    for step, text in _corners(training):
        axes.axvline(step, color="#bbbbbb", linewidth=0.8)
        axes.annotate(text, (step, 1), (5, -3), xycoords=("data", "axes fraction"), textcoords="offset points", **SMALL_TEXT)
    title = f"{training.schedule}: peak {training.learning_rate:.3g}, end {training.learning_rate_at(last):.3g}"
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("step")
    axes.set_ylabel("learning rate")
    axes.set_xlim(0, 1.01 * training.max_steps)
    axes.set_ylim(0, 1.18 * training.learning_rate)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10], integer=True))
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3), useMathText=True)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, file, "--plot-schedule")


SMALL_TEXT: Any = {"fontsize": 9, "color": "#666666", "va": "top"}


def _corners(training: TrainingConfig) -> Iterator[tuple[int, str]]:
    """Yield ``(step, text)`` of each step at which the schedule changes."""
    if training.warmup_steps and training.warmup_steps < training.max_steps:
        yield training.warmup_steps, f"warm-up ends after {training.warmup_steps:,} steps"
    if training.schedule == "wsd":
        decay = training.wsd_decay_steps
        if decay:
            yield max(training.warmup_steps, training.max_steps - 1 - decay), f"decay: {decay:,} steps"


def _save(figure: Figure, file: Path, option: str) -> None:
    try:
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise ConfigError([Violation(option, str(file), f"cannot be written: {error_reason(error)}")]) from None


def _common_settings(plans: Iterable[Plan]) -> Iterator[str]:
    """Yield the settings that all plans have in common."""
    settings = [plan.config.training for plan in plans]
    first = settings[0]
    yield f"batch {first.batch_size}"
    if all(each.seq_len == first.seq_len for each in settings):
        yield f"{first.seq_len:,} tokens"
    yield first.precision
    if first.gradient_checkpointing:
        yield "checkpointing"
    yield "AdamW"


def _draw_bar(axes: Axes, name: str, plan: Plan, scale: int) -> None:
    """Draw the parts of the peak of one plan as one bar, with a text that says whether it fits."""
    memory, end = plan.memory, 0.0
    label = f"{name}\n{abbreviate_number(parameters(plan.config.model).total)}"
    widths = {part: getattr(memory.peak, part) for part in MEMORY_PARTS} | {OVERHEAD: memory.allocator_overhead}
    for part in COLORS:
        width = widths[part] / scale
        if width:
            axes.barh(label, width, left=end, label=part, color=COLORS[part], height=0.62)
            end += width
    fits = {True: ", fits", False: ", does not fit", None: ""}[plan.fits]
    color = "#c00000" if plan.fits is False else "black"
    text = f"{format_bytes(memory.resident)}{fits}"
    behind = {"color": "white", "pad": 1}
    axes.annotate(text, (end, label), (6, 0), textcoords="offset points", va="center", color=color, bbox=behind)
