"""A picture of what the sizes cost: ``gpt2hydra size --plot FILE.png``. Imports matplotlib, the extra ``plot``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.sizing.counts import parameters
from gpt2hydra.sizing.fit import gigabytes
from gpt2hydra.sizing.memory import PARTS
from gpt2hydra.sizing.plan import Plan


def plot_sizes(plans: Mapping[str, Plan], file: Path) -> None:
    """Draw the predicted memory of a training step by part, for the plan of each size.

    Raises:
        ConfigError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # without pyplot: no window, no state of the process

    figure = Figure(figsize=(9, 4.8), layout="constrained")
    axes = figure.add_subplot()
    peaks = [plan.memory.peak for plan in plans.values()]
    left = [0.0] * len(peaks)
    labels = [f"{name}\n{parameters(plan.config.model).total / 1e6:,.0f}M" for name, plan in plans.items()]
    colors = ("#1f4e79", "#2e75b6", "#9dc3e6", "#f4b183", "#c55a11", "#a5a5a5")
    for part, color in zip(PARTS, colors, strict=True):
        widths = [getattr(peak, part) / 1e9 for peak in peaks]
        if any(widths):
            axes.barh(labels, widths, left=left, label=part, color=color, height=0.62)
            left = [start + width for start, width in zip(left, widths, strict=True)]
    for index, peak in enumerate(peaks):
        axes.annotate(gigabytes(peak.total), (left[index], index), xytext=(6, 0), textcoords="offset points", va="center")
    first = next(iter(plans.values()))
    memory = first.device.memory
    if memory is not None:
        axes.axvline(memory / 1e9, color="#c00000", linestyle="--", label=f"{first.device.name}: {gigabytes(memory)}")
    training = first.config.training
    axes.invert_yaxis()
    axes.set_xlim(0, max(*left, (memory or 0) / 1e9) * 1.14)
    axes.set_xlabel("predicted memory at the peak of a training step, GB of 10⁹ bytes")
    axes.set_title(f"batch {training.batch_size}, {training.seq_len:,} tokens, {training.precision}, AdamW", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=4)
    try:
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise ConfigError([Violation("--plot", str(file), f"cannot be written: {error.strerror}")]) from None
