"""loss.png: the losses over the steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpt2hydra.runs.metrics_csv import Measurement
from gpt2hydra.utils.files import atomic_file
from gpt2hydra.utils.formatting import error_reason

MAX_PLOT_TIME_FRACTION = 0.01
"""The part of a run's time that may be spent on updates of the plot."""

SKIPPED_STEPS_FRACTION = 0.05
"""The part of the steps, at the beginning, that the plot leaves out."""


class LossPlot:
    """The plot of a run. It is drawn again at evaluations, but not so often that it slows down the run."""

    def __init__(self, file: Path, title: str) -> None:
        self.file, self.title = file, title
        self._next = 0.0

    def update(self, rows: Sequence[Measurement], *, last: bool = False) -> str | None:
        """Draw the plot, unless the last one is recent. Return why it could not be written, or None."""
        began = time.perf_counter()
        if began < self._next and not last:
            return None
        try:
            draw(rows, self.title, self.file)
        except OSError as error:
            return error_reason(error)
        finally:
            self._next = time.perf_counter() + (time.perf_counter() - began) / MAX_PLOT_TIME_FRACTION
        return None


def draw(rows: Sequence[Measurement], title: str, file: Path) -> None:
    """Plot both losses over the steps. The steep beginning is left out: the rest would look flat.

    Raises:
        OSError: the plot cannot be written.
    """
    from matplotlib.figure import Figure  # without pyplot: no window, no state of the process
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    ax = figure.subplots()
    ax.set_title(title, loc="left", fontsize=11)
    shown, first = _skip_first_steps(rows)
    training = [(row.step, row.training_loss) for row in shown if row.training_loss is not None]
    validation = [(row.step, row.validation_loss) for row in shown if row.validation_loss is not None]
    if training:
        ax.plot(*zip(*training, strict=True), color="#3b7ea1", linewidth=1.2, label="training")
    if validation:
        marker: dict[str, Any] = {"marker": "o", "markersize": 3.5}
        ax.plot(*zip(*validation, strict=True), color="#c4501b", linewidth=0.8, label="validation", **marker)
        step, loss = validation[-1]
        behind: dict[str, Any] = {"color": "#c4501b", "fontsize": 9, "va": "center"}
        ax.annotate(f"{loss:.3f}", (step, loss), xytext=(6, 0), textcoords="offset points", annotation_clip=False, **behind)
    if shown:
        ax.legend(frameon=False, loc="upper right", ncols=2)
    ax.margins(x=0.03, y=0.12)
    ax.set_xlabel(f"step (before {first:,}: not shown)" if first else "step")
    ax.set_ylabel("loss (nats per token)")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    with atomic_file(file) as unfinished:
        figure.savefig(unfinished, dpi=130, format="png")


def _skip_first_steps(rows: Sequence[Measurement]) -> tuple[Sequence[Measurement], int]:
    """Return the rows to draw, and their first step, or 0 for all rows: a short run is drawn completely."""
    first = round(SKIPPED_STEPS_FRACTION * max((row.step for row in rows), default=0))
    later = [row for row in rows if row.step >= first]
    measured = sum(row.validation_loss is not None for row in later)
    return (later, later[0].step) if first and measured > 1 else (rows, 0)
