"""loss.png: the losses over the steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpt2hydra.runs.metrics_csv import Measurement
from gpt2hydra.utils.files import atomic_file
from gpt2hydra.utils.formatting import reason_of

SHARE = 0.01
"""Of a run's time that may go into keeping the picture up to date."""

NOT_SHOWN = 0.05
"""Of a run's steps, its first."""


class LossPlot:
    """The picture of a run, drawn again at evaluations, but never so often that it slows the run down."""

    def __init__(self, file: Path, title: str) -> None:
        self.file, self.title = file, title
        self._next = 0.0

    def update(self, rows: Sequence[Measurement], *, last: bool = False) -> str | None:
        """Draw, unless the last picture was drawn a moment ago. Returns why it could not be written."""
        began = time.perf_counter()
        if began < self._next and not last:
            return None
        try:
            draw(rows, self.title, self.file)
        except OSError as error:
            return reason_of(error)
        finally:
            self._next = time.perf_counter() + (time.perf_counter() - began) / SHARE
        return None


def draw(rows: Sequence[Measurement], title: str, file: Path) -> None:
    """Both losses over the steps. The first steps, whose fall would flatten all that follows, are left out.

    Raises:
        OSError: the picture cannot be written.
    """
    from matplotlib.figure import Figure  # without pyplot: no window, no state of the process
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=11)
    shown, first = _without_first_steps(rows)
    training = [(row.step, row.training_loss) for row in shown if row.training_loss is not None]
    validation = [(row.step, row.validation_loss) for row in shown if row.validation_loss is not None]
    if training:
        axes.plot(*zip(*training, strict=True), color="#3b7ea1", linewidth=1.2, label="training")
    if validation:
        marker: dict[str, Any] = {"marker": "o", "markersize": 3.5}
        axes.plot(*zip(*validation, strict=True), color="#c4501b", linewidth=0.8, label="validation", **marker)
        step, loss = validation[-1]
        behind: dict[str, Any] = {"color": "#c4501b", "fontsize": 9, "va": "center"}
        axes.annotate(f"{loss:.3f}", (step, loss), xytext=(6, 0), textcoords="offset points", annotation_clip=False, **behind)
    if shown:
        axes.legend(frameon=False, loc="upper right", ncols=2)
    axes.margins(x=0.03, y=0.12)
    axes.set_xlabel(f"step (before {first:,}: not shown)" if first else "step")
    axes.set_ylabel("loss (nats per token)")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_file(file) as unfinished:
        figure.savefig(unfinished, dpi=130, format="png")


def _without_first_steps(rows: Sequence[Measurement]) -> tuple[Sequence[Measurement], int]:
    """The rows that are drawn, and their first step, if some are left out. A short run is complete."""
    first = round(NOT_SHOWN * max((row.step for row in rows), default=0))
    later = [row for row in rows if row.step >= first]
    measured = sum(row.validation_loss is not None for row in later)
    return (later, later[0].step) if first and measured > 1 else (rows, 0)
