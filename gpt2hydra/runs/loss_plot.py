"""loss.png: the losses over the steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from gpt2hydra.runs.metrics_csv import Row
from gpt2hydra.utils.files import atomic_file
from gpt2hydra.utils.formatting import reason_of

SHARE = 0.01
"""Of a run's time that may go into keeping the picture up to date."""


class LossPlot:
    """The picture of a run, drawn again at evaluations, but never so often that it slows the run down."""

    def __init__(self, file: Path, title: str) -> None:
        self.file, self.title = file, title
        self._next = 0.0

    def update(self, rows: Sequence[Row], *, last: bool = False) -> str | None:
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


def draw(rows: Sequence[Row], title: str, file: Path) -> None:
    """Two panels: the whole run over logarithmic steps, and its last nine tenths, where a linear scale shows what still falls.

    Raises:
        OSError: the picture cannot be written.
    """
    from matplotlib.figure import Figure  # without pyplot: no window, no state of the process

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    whole, rest = figure.subplots(1, 2)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    last = max((row.step for row in rows), default=0)
    whole.set_xscale("symlog", linthresh=1)
    _panel(whole, rows, "step (logarithmic)")
    whole.set_xlim(left=0)
    whole.set_ylabel("loss (nats per token)")
    _panel(rest, [row for row in rows if row.step >= last / 10], "step")
    handles, names = whole.get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, loc="upper right", ncols=2)
    with atomic_file(file) as unfinished:
        figure.savefig(unfinished, dpi=130, format="png")


def _panel(axes: object, rows: Sequence[Row], label: str) -> None:
    from matplotlib.axes import Axes
    from matplotlib.ticker import FuncFormatter

    assert isinstance(axes, Axes)
    training = [(row.step, row.training_loss) for row in rows if row.training_loss is not None]
    validation = [(row.step, row.validation_loss) for row in rows if row.validation_loss is not None]
    if training:
        axes.plot(*zip(*training, strict=True), color="#3b7ea1", linewidth=1.2, label="training")
    if validation:
        axes.plot(
            *zip(*validation, strict=True), color="#c4501b", linewidth=0.8, marker="o", markersize=3.5, label="validation"
        )
        axes.annotate(f"{validation[-1][1]:.3f}", validation[-1], xytext=(0, -14), textcoords="offset points", ha="right")
    axes.margins(y=0.12)
    axes.set_xlabel(label)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
