"""A picture of what the sizes cost: ``gpt2hydra size --plot FILE.png``. Imports matplotlib, the extra ``plot``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.sizing.counts import parameters
from gpt2hydra.sizing.fit import gigabytes
from gpt2hydra.sizing.memory import PARTS
from gpt2hydra.sizing.plan import Plan
from gpt2hydra.utils.formatting import reason_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = dict(zip(PARTS, ("#1f4e79", "#2e75b6", "#9dc3e6", "#f4b183", "#c55a11", "#a5a5a5", "#d9d9d9"), strict=True))


def plot_sizes(plans: Mapping[str, Plan], file: Path) -> None:
    """Draw the predicted memory of a training step by part, for the plan of each size, and whether it fits the device.

    Raises:
        ConfigError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # without pyplot: no window, no state of the process

    figure = Figure(figsize=(9, 1.6 + 0.75 * len(plans)), layout="constrained")
    axes = figure.add_subplot()
    first = next(iter(plans.values()))
    device, step, training = first.device, first.memory.step, first.config.training
    largest = max(plan.memory.total for plan in plans.values())
    if device.usable is not None:
        largest = max(largest, device.usable)
        axes.axvline(device.usable / 1e9, color="#c00000", linestyle="--", label=f"{device.name}: {gigabytes(device.usable)}")
    for name, plan in plans.items():
        _draw_bar(axes, name, plan)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * largest / 1e9)
    each = f" on each of {device.count:,} devices ({step.strategy})" if device.count > 1 else ""
    axes.set_xlabel(f"predicted memory at the peak of a training step{each}, GB of 10⁹ bytes")
    axes.set_title(f"batch {training.batch_size}, {training.seq_len:,} tokens, {training.precision}, AdamW", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    bars = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    order = [*(part for part in PARTS if part in bars), *(label for label in bars if label not in PARTS)]
    handles = [bars[label] for label in order]
    style = {"columnspacing": 1.2, "handlelength": 1.2, "handletextpad": 0.5, "frameon": False}
    figure.legend(handles, order, loc="outside lower center", ncols=len(order), **style)
    try:
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise ConfigError([Violation("--plot", str(file), f"cannot be written: {reason_of(error)}")]) from None


def _draw_bar(axes: Axes, name: str, plan: Plan) -> None:
    """The parts of one size's peak, one behind the other, and in words whether it fits."""
    peak, end = plan.memory.peak, 0.0
    label = f"{name}\n{parameters(plan.config.model).total / 1e6:,.0f}M"
    for part in PARTS:
        width = getattr(peak, part) / 1e9
        if width:
            axes.barh(label, width, left=end, label=part, color=COLORS[part], height=0.62)
            end += width
    fits = {True: ", fits", False: ", does not fit", None: ""}[plan.fits]
    color = "#c00000" if plan.fits is False else "black"
    text = f"{gigabytes(peak.total)}{fits}"
    behind = {"color": "white", "pad": 1}
    axes.annotate(text, (end, label), (6, 0), textcoords="offset points", va="center", color=color, bbox=behind)
