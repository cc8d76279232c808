"""What a person sees of a training run: a bar, and lines at evaluations and each minute, also in the log."""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from tqdm import tqdm  # type: ignore[import-untyped]

from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.runs.loss_plot import LossPlot
from gpt2hydra.runs.metrics_csv import FILE, LossTable, Measurement
from gpt2hydra.utils.formatting import duration
from gpt2hydra.utils.verbosity import is_quiet, shows_progress

log = logging.getLogger("gpt2hydra")
"""Its lines go where Hydra's ``job_logging`` sends them: into ``train.log`` of the run directory."""

LONG = 10.0
"""Seconds. What is expected to take longer is announced."""

SILENCE = 60.0
"""Seconds without a line, after which one is printed where there is no terminal to draw a bar on."""

LOOK = 1.0
"""Seconds between two looks whether it is time for such a line."""


class Progress:
    """Takes the measurements of a run, writes table and picture, and prints to the terminal."""

    def __init__(
        self, config: TrainingConfig, table: LossTable | None, plot: LossPlot | None = None, first_step: int = 0
    ) -> None:
        """Without a table, as in all processes but the first, nothing is written or printed."""
        self.config, self.table, self.plot, self.first_step = config, table, plot, first_step
        self.bar = tqdm(
            total=config.max_steps,
            initial=first_step,
            unit="step",
            file=sys.stderr,
            disable=table is None or not shows_progress(),
            dynamic_ncols=True,
            leave=False,
        )
        self.started = time.perf_counter()
        self.speeds: list[tuple[int, float]] = []
        """Steps between two rows, and the seconds that they took."""
        self._clock = self.started
        self._row_before = first_step
        self._printed = self.started
        self._step, self._pass = first_step, (0, 1)
        self._waiting: Waiting | None = None
        self._closed = threading.Event()
        self._talker: threading.Thread | None = None
        if table is not None and self.bar.disable:
            self._talker = threading.Thread(target=self._print_each_minute, name="progress", daemon=True)
            self._talker.start()
        self._drawer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="loss.png")
        self._drawing: Future[str | None] | None = None

    # ------------------------------------------------------------------------------------------------------ measurements

    def measured(self) -> tuple[int, float]:
        """The step of the last row, or -1, and the last validation loss, or NaN."""
        rows, losses = (self.table.rows, self.table.validation()) if self.table is not None else ([], [])
        return (rows[-1].step if rows else -1), (losses[-1][1] if losses else math.nan)

    @property
    def evaluations_since_best(self) -> int:
        """How many evaluations there were after that of the lowest validation loss."""
        return 0 if self.table is None else self.table.evaluations_since_best()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out of tokens/s what happens within."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._clock += time.perf_counter() - began

    def step_done(self, step: int) -> None:
        """Move the bar."""
        self.bar.update()
        self._step, self._pass = step, (0, 1)

    def pass_done(self, number: int, passes: int) -> None:
        """The forward and backward pass ``number`` of a step is done."""
        self._pass = number, passes

    def add(
        self,
        step: int,
        training: float | None,
        validation: float | None,
        learning_rate: float | None,
        gradient_norm: float | None = None,
        skipped_steps: int = 0,
    ) -> Measurement:
        """Take the measurements of a step."""
        now = time.perf_counter()
        steps, seconds = step - self._row_before, now - self._clock
        if steps > 0:
            self.speeds.append((steps, seconds))
        speed = steps * self.config.tokens_per_step / seconds if steps > 0 else None
        tokens = step * self.config.tokens_per_step
        row = Measurement(step, tokens, training, validation, learning_rate, gradient_norm, speed, skipped_steps)
        self._clock, self._row_before = now, step
        if self.table is not None:
            self._warn(self.table.add(row), FILE, "it is written with the next row")
            if training is not None and learning_rate is not None and speed is not None:
                self.bar.set_postfix_str(f"loss {training:.3f}, lr {learning_rate:.1e}, {speed:,.0f} tokens/s", refresh=False)
            if validation is not None:
                self.print(self._line(row))
        return row

    def draw(self, *, last: bool = False) -> None:
        """Keep loss.png up to date, in another thread. The ``last`` picture is complete when this returns."""
        if self.plot is None or self.table is None or len(self.table.rows) < 2:
            return
        if self._drawing is not None and (last or self._drawing.done()):
            self._warn(self._drawing.result(), "loss.png", "the run continues")
            self._drawing = None
        if self._drawing is None:
            self._drawing = self._drawer.submit(self.plot.update, list(self.table.rows), last=last)
        if last:
            self._warn(self._drawing.result(), "loss.png", "the run continues")

    def _warn(self, reason: str | None, file: str, then: str) -> None:
        if reason is not None:
            self.print(f"note: {file} could not be written ({reason}); {then}")

    @property
    def tokens_per_second(self) -> float | None:
        """The median of the rows since the start; without the first, which warms up, if there is another."""
        speeds = sorted(steps * self.config.tokens_per_step / seconds for steps, seconds in self.speeds[1:] or self.speeds)
        return speeds[len(speeds) // 2] if speeds else None

    @property
    def seconds(self) -> float:
        """Since this process began to train."""
        return time.perf_counter() - self.started

    # ---------------------------------------------------------------------------------------------------- what is printed

    def print(self, line: str, *, always: bool = False) -> None:
        """In the process that prints: a line for the log and, ``always`` or unless quiet, the terminal."""
        if self.table is not None:
            self._printed = time.perf_counter()
            print_line(line, always=always)

    def waiting(self, what: str, passes: int) -> Waiting:
        """Something that takes ``passes`` passes. How long it takes is printed where that is long."""
        self._waiting = Waiting(self, what, passes)
        return self._waiting

    def _print_each_minute(self) -> None:
        """In a thread of its own, for one pass of a large model may take longer."""
        while not self._closed.wait(LOOK):
            self.print_if_silent()

    def print_if_silent(self) -> None:
        """A line that says how far the run is, if there was none for a minute."""
        if time.perf_counter() - self._printed >= SILENCE:
            waiting = self._waiting
            self.print(self._status() if waiting is None or waiting.is_over else str(waiting))

    def _status(self) -> str:
        done, passes = self._pass
        line = self._head(self._step) + (f", pass {done:,} of {passes:,} of the next" if done < passes and passes > 1 else "")
        steps = self._step - self.first_step + done / passes
        if not steps:
            return f"{line}   {duration(self.seconds)} since the start"
        return f"{line}   {duration(self.seconds / steps * (self.config.max_steps - self.first_step - steps))} left"

    def _head(self, step: int) -> str:
        width = len(f"{self.config.max_steps:,}")
        return f"step {step:>{width},} of {self.config.max_steps:,}"

    def _seconds_left(self, step: int) -> float:
        return self.seconds / (step - self.first_step) * (self.config.max_steps - step)

    def _line(self, row: Measurement) -> str:
        head = f"{self._head(row.step)}   validation loss {row.validation_loss:.4f}"
        if row.training_loss is None or row.learning_rate is None or row.tokens_per_second is None:
            return f"{head}   (before training)"
        return (
            f"{head}   training {row.training_loss:.4f}   lr {row.learning_rate:.2e}   "
            f"{row.tokens_per_second:,.0f} tokens/s   {duration(self._seconds_left(row.step))} left"
        )

    def close(self) -> None:
        """End the bar, and draw the last picture."""
        self._closed.set()
        if self._talker is not None:
            self._talker.join()
        self.bar.close()
        self.draw(last=True)
        self._drawer.shutdown()


class Waiting:
    """Counts passes. Prints once how long the rest takes, if that is long."""

    def __init__(self, progress: Progress, what: str, passes: int) -> None:
        self.progress, self.what, self.passes = progress, what, passes
        self.done, self.began, self.announced = 0, time.perf_counter(), False

    def passed(self) -> None:
        """One pass is done."""
        self.done += 1
        elapsed = time.perf_counter() - self.began
        if self.done == 1 or elapsed < 1:
            return
        if not self.announced and self._seconds_left() > LONG:
            self.progress.print(str(self))
        self.announced = True

    @property
    def is_over(self) -> bool:
        """Whether all passes are done."""
        return self.done >= self.passes

    def _seconds_left(self) -> float:
        return (time.perf_counter() - self.began) / self.done * (self.passes - self.done)

    def __str__(self) -> str:
        return f"{self.what}: " + (f"about {duration(self._seconds_left())} more" if self.done else "the first pass")


def print_line(line: str, *, always: bool = False) -> None:
    """A line in the log and, ``always`` or unless it is quiet, on standard error, above the bar."""
    if always or not is_quiet():
        tqdm.write(line, file=sys.stderr)
    log.info(line)


def print_result(text: str) -> None:
    """What a run was for: on standard output, and in the log."""
    print(text, flush=True)
    log.info(text)
