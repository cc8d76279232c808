"""What a person sees of a training run: a bar, a line at each evaluation, loss.csv and loss.png."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]

from gpt2hydra.config.run import TrainingConfig


@dataclass(frozen=True)
class Row:
    """One row of loss.csv. Losses are means, in nats per token; None where nothing was measured."""

    step: int
    tokens: int
    """Seen in training so far."""
    training_loss: float | None
    """Over the steps since the row before."""
    validation_loss: float | None
    learning_rate: float | None
    """Of the step just done."""
    tokens_per_second: float | None
    """Over the steps since the row before, evaluations and checkpoints not counted."""


class Progress:
    """Keeps the rows, writes each to ``loss.csv`` at once, and draws the bar where a terminal shows it."""

    def __init__(self, config: TrainingConfig, folder: Path) -> None:
        self.rows: list[Row] = []
        self.config, self.folder = config, folder
        self.tokens_per_step = config.tokens_per_step
        self.table = (folder / "loss.csv").open("w", newline="", encoding="utf-8")
        self.writer = csv.writer(self.table)
        self.writer.writerow(field.name for field in fields(Row))
        self.bar = tqdm(
            total=config.max_steps,
            unit="step",
            file=sys.stderr,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            leave=False,
        )
        self.started = time.perf_counter()
        self.clock = self.started

    def restart_clock(self) -> None:
        """Leave out of tokens/s what happened since the last row."""
        self.clock = time.perf_counter()

    def add(self, step: int, training: float | None, validation: float | None, learning_rate: float | None) -> None:
        """Take the measurements of a step."""
        before = self.rows[-1].step if self.rows else 0
        seconds = time.perf_counter() - self.clock
        speed = (step - before) * self.tokens_per_step / seconds if step > before else None
        row = Row(step, step * self.tokens_per_step, training, validation, learning_rate, speed)
        self.rows.append(row)
        self.writer.writerow("" if value is None else value for value in astuple(row))
        self.table.flush()
        self.restart_clock()
        if training is not None and speed is not None:
            self.bar.set_postfix_str(f"loss {training:.3f}, lr {learning_rate:.1e}, {speed:,.0f} tokens/s", refresh=False)
        if validation is not None:
            tqdm.write(self._line(row), file=sys.stderr)

    def _line(self, row: Row) -> str:
        width = len(f"{self.config.max_steps:,}")
        head = f"step {row.step:>{width},} of {self.config.max_steps:,}   validation loss {row.validation_loss:.4f}"
        if row.training_loss is None or row.learning_rate is None or row.tokens_per_second is None:
            return f"{head}   (untrained)"
        elapsed = time.perf_counter() - self.started
        left = elapsed / row.step * (self.config.max_steps - row.step)
        return (
            f"{head}   training {row.training_loss:.4f}   lr {row.learning_rate:.2e}   "
            f"{row.tokens_per_second:,.0f} tokens/s   {duration(left)} left"
        )

    def validation(self) -> list[tuple[int, float]]:
        """``(step, loss)`` of every evaluation."""
        return [(row.step, row.validation_loss) for row in self.rows if row.validation_loss is not None]

    def close(self) -> None:
        """End the bar and the table."""
        self.bar.close()
        self.table.close()


def duration(seconds: float) -> str:
    """``75.2`` → ``1 min 15 s``."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {whole % 60:02} s" if minutes else f"{whole} s"


def draw(rows: Sequence[Row], title: str, file: Path) -> None:
    """The losses over the steps, as a picture."""
    from matplotlib.figure import Figure  # without pyplot: no window, no state of the process
    from matplotlib.ticker import MaxNLocator

    training = [(row.step, row.training_loss) for row in rows if row.training_loss is not None]
    validation = [(row.step, row.validation_loss) for row in rows if row.validation_loss is not None]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    if training:
        axes.plot(*zip(*training, strict=True), color="#3b7ea1", linewidth=1.4, label="training")
    axes.plot(*zip(*validation, strict=True), color="#c4501b", linewidth=0.8, marker="o", markersize=4, label="validation")
    axes.annotate(f"{validation[-1][1]:.3f}", validation[-1], xytext=(0, 8), textcoords="offset points", ha="right")
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats per token)")
    axes.set_title(title, loc="left")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(file, dpi=150)
