"""What a person sees of a training run while it goes on: a bar, a line at each evaluation, the same lines in the log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm  # type: ignore[import-untyped]

from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.runs.loss_plot import LossPlot
from gpt2hydra.runs.metrics_csv import FILE, LossTable, Row
from gpt2hydra.utils.formatting import duration

log = logging.getLogger("gpt2hydra")
"""Its lines go where Hydra's ``job_logging`` sends them: into ``train.log`` of the run directory."""

LONG = 10.0
"""Seconds. What is expected to take longer is said to take long."""


class Progress:
    """Takes the measurements of a run, keeps table and picture, and tells the terminal."""

    def __init__(
        self, config: TrainingConfig, table: LossTable | None, plot: LossPlot | None = None, first_step: int = 0
    ) -> None:
        """Without a table, as in all processes but the first, nothing is kept or told."""
        self.config, self.table, self.plot, self.first_step = config, table, plot, first_step
        self.bar = tqdm(
            total=config.max_steps,
            initial=first_step,
            unit="step",
            file=sys.stderr,
            disable=table is None or not sys.stderr.isatty(),
            dynamic_ncols=True,
            leave=False,
        )
        self.started = time.perf_counter()
        self.speeds: list[tuple[int, float]] = []
        """Steps between two rows, and the seconds that they took."""
        self._clock = self.started
        self._row_before = first_step

    # ------------------------------------------------------------------------------------------------------ measurements

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Leave out of tokens/s what happens within."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._clock += time.perf_counter() - began

    def add(
        self,
        step: int,
        training: float | None,
        validation: float | None,
        learning_rate: float | None,
        gradient_norm: float | None = None,
    ) -> Row:
        """Take the measurements of a step."""
        now = time.perf_counter()
        steps, seconds = step - self._row_before, now - self._clock
        if steps > 0:
            self.speeds.append((steps, seconds))
        speed = steps * self.config.tokens_per_step / seconds if steps > 0 else None
        row = Row(step, step * self.config.tokens_per_step, training, validation, learning_rate, gradient_norm, speed)
        self._clock, self._row_before = now, step
        if self.table is not None:
            self._warn(self.table.add(row), FILE, "tried again with the next row")
            if training is not None and speed is not None:
                self.bar.set_postfix_str(f"loss {training:.3f}, lr {learning_rate:.1e}, {speed:,.0f} tokens/s", refresh=False)
            if validation is not None:
                self.say(self._line(row))
        return row

    def picture(self, *, last: bool = False) -> None:
        """Keep loss.png up to date."""
        if self.plot is not None and self.table is not None:
            self._warn(self.plot.update(self.table.rows, last=last), "loss.png", "the run goes on")

    def _warn(self, reason: str | None, file: str, then: str) -> None:
        if reason is not None:
            self.say(f"note: {file} could not be written ({reason}); {then}")

    @property
    def tokens_per_second(self) -> float | None:
        """The median of the rows since the start. The first, which warms up, counts only where it stands alone."""
        speeds = sorted(steps * self.config.tokens_per_step / seconds for steps, seconds in self.speeds[1:] or self.speeds)
        return speeds[len(speeds) // 2] if speeds else None

    @property
    def seconds(self) -> float:
        """Since this process began to train."""
        return time.perf_counter() - self.started

    # ------------------------------------------------------------------------------------------------------ what is said

    def say(self, line: str) -> None:
        """A line for the terminal, if this is the process that speaks."""
        if self.table is not None:
            say(line)

    def waiting(self, what: str, passes: int) -> Waiting:
        """Something that takes ``passes`` passes, said to take long if the first ones tell so."""
        return Waiting(self, what, passes)

    def _line(self, row: Row) -> str:
        width = len(f"{self.config.max_steps:,}")
        head = f"step {row.step:>{width},} of {self.config.max_steps:,}   validation loss {row.validation_loss:.4f}"
        if row.training_loss is None or row.learning_rate is None or row.tokens_per_second is None:
            return f"{head}   (untrained)"
        done = row.step - self.first_step
        left = self.seconds / done * (self.config.max_steps - row.step)
        return (
            f"{head}   training {row.training_loss:.4f}   lr {row.learning_rate:.2e}   "
            f"{row.tokens_per_second:,.0f} tokens/s   {duration(left)} left"
        )

    def close(self) -> None:
        """End the bar."""
        self.bar.close()


class Waiting:
    """Counts passes, and says once how long the rest takes, if that is long."""

    def __init__(self, progress: Progress, what: str, passes: int) -> None:
        self.progress, self.what, self.passes = progress, what, passes
        self.done, self.began, self.told = 0, time.perf_counter(), False

    def passed(self) -> None:
        """One pass is done."""
        self.done += 1
        elapsed = time.perf_counter() - self.began
        if not self.told and self.done > 1 and elapsed > 1:
            self.told = True
            left = elapsed / self.done * (self.passes - self.done)
            if left > LONG:
                self.progress.say(f"{self.what}: about {duration(left)} more")


def say(line: str) -> None:
    """A line for the terminal, above the bar, and for the log."""
    tqdm.write(line, file=sys.stderr)
    log.info(line)


def tell(text: str) -> None:
    """What a run was for: on standard output, and in the log."""
    print(text, flush=True)
    log.info(text)
