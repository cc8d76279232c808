"""The progress of a run: a bar, a line at each evaluation and each minute, and the same lines in the log."""

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
from gpt2hydra.runs.metrics_csv import LOSS_CSV, LossTable, Measurement
from gpt2hydra.utils.formatting import format_duration
from gpt2hydra.utils.verbosity import is_quiet, shows_progress

log = logging.getLogger("gpt2hydra")
"""Its lines go where Hydra's ``job_logging`` sends them: into ``train.log`` of the run directory."""

ANNOUNCE_AFTER_SECONDS = 10.0
"""An evaluation that is expected to take longer is announced."""

SILENCE_SECONDS = 60.0
"""Without a bar, a status line is printed after this time without a line."""

POLL_SECONDS = 1.0
"""The status thread checks at this interval whether such a line is due."""


class Progress:
    """Writes the measurements of a run into loss.csv and loss.png, and prints to the terminal."""

    def __init__(
        self, config: TrainingConfig, table: LossTable | None, plot: LossPlot | None = None, first_step: int = 0
    ) -> None:
        """Without a table, which only rank 0 has, nothing is written or printed."""
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
        """The number of steps between two rows, and the seconds that they took."""
        self._row_start_time = self.started
        self._last_row_step = first_step
        self._last_print_time = self.started
        self._step, self._micro_batch = first_step, (0, 1)
        self._evaluation: EvaluationProgress | None = None
        self._closed = threading.Event()
        self._status_thread: threading.Thread | None = None
        if table is not None and self.bar.disable:
            self._status_thread = threading.Thread(target=self._print_each_minute, name="progress", daemon=True)
            self._status_thread.start()
        self._plot_executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="loss.png")
        self._plot_future: Future[str | None] | None = None

    # ------------------------------------------------------------------------------------------------------ measurements

    def last_step_and_loss(self) -> tuple[int, float]:
        """The step of the last row and the last validation loss; -1 and NaN if there are none."""
        rows, losses = (self.table.rows, self.table.validation_losses()) if self.table is not None else ([], [])
        return (rows[-1].step if rows else -1), (losses[-1][1] if losses else math.nan)

    @property
    def evaluations_since_best(self) -> int:
        """The number of evaluations after that with the lowest validation loss."""
        return 0 if self.table is None else self.table.evaluations_since_best()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Context manager: exclude its time from tokens/s."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._row_start_time += time.perf_counter() - began

    def finish_step(self, step: int) -> None:
        """Count a step, and move the bar."""
        self.bar.update()
        self._step, self._micro_batch = step, (0, 1)

    def finish_micro_batch(self, number: int, micro_batches: int) -> None:
        """Note that micro-batch ``number`` of the current step is done."""
        self._micro_batch = number, micro_batches

    def log_row(
        self,
        step: int,
        training: float | None,
        validation: float | None,
        learning_rate: float | None,
        gradient_norm: float | None = None,
        skipped_steps: int = 0,
    ) -> Measurement:
        """Write a row of loss.csv, print a line if it has a validation loss, and return the row."""
        now = time.perf_counter()
        steps, seconds = step - self._last_row_step, now - self._row_start_time
        if steps > 0:
            self.speeds.append((steps, seconds))
        speed = steps * self.config.tokens_per_step / seconds if steps > 0 else None
        tokens = step * self.config.tokens_per_step
        row = Measurement(step, tokens, training, validation, learning_rate, gradient_norm, speed, skipped_steps)
        self._row_start_time, self._last_row_step = now, step
        if self.table is not None:
            self._note_unwritten(self.table.append(row), LOSS_CSV, "it is written with the next row")
            if training is not None and learning_rate is not None and speed is not None:
                self.bar.set_postfix_str(f"loss {training:.3f}, lr {learning_rate:.1e}, {speed:,.0f} tokens/s", refresh=False)
            if validation is not None:
                self.print(self._format_row(row))
        return row

    def draw(self, *, last: bool = False) -> None:
        """Update loss.png, in another thread. The ``last`` plot is complete when this returns."""
        if self.plot is None or self.table is None or len(self.table.rows) < 2:
            return
        if self._plot_future is not None and (last or self._plot_future.done()):
            self._note_unwritten(self._plot_future.result(), "loss.png", "the run continues")
            self._plot_future = None
        if self._plot_future is None:
            self._plot_future = self._plot_executor.submit(self.plot.update, list(self.table.rows), last=last)
        if last:
            self._note_unwritten(self._plot_future.result(), "loss.png", "the run continues")

    def _note_unwritten(self, reason: str | None, file: str, then: str) -> None:
        if reason is not None:
            self.print(f"note: {file} could not be written ({reason}); {then}")

    @property
    def tokens_per_second(self) -> float | None:
        """The median over the rows. The first row, with the warm-up, counts only if there is no other."""
        speeds = sorted(steps * self.config.tokens_per_step / seconds for steps, seconds in self.speeds[1:] or self.speeds)
        return speeds[len(speeds) // 2] if speeds else None

    @property
    def seconds(self) -> float:
        """The time since this process began to train."""
        return time.perf_counter() - self.started

    # ---------------------------------------------------------------------------------------------------- what is printed

    def print(self, line: str, *, always: bool = False) -> None:
        """On rank 0: log a line, and print it unless output is quiet; with ``always``, even then."""
        if self.table is not None:
            self._last_print_time = time.perf_counter()
            print_line(line, always=always)

    def start_evaluation(self, what: str, batches: int) -> EvaluationProgress:
        """Begin to count the ``batches`` of an evaluation. The remaining time is printed if it is long."""
        self._evaluation = EvaluationProgress(self, what, batches)
        return self._evaluation

    def _print_each_minute(self) -> None:
        """Run in a thread, because one micro-batch of a large model may take longer than a minute."""
        while not self._closed.wait(POLL_SECONDS):
            self.print_if_silent()

    def print_if_silent(self) -> None:
        """Print how far the run is, if no line was printed for :data:`SILENCE_SECONDS`."""
        if time.perf_counter() - self._last_print_time >= SILENCE_SECONDS:
            evaluation = self._evaluation
            self.print(self._format_status() if evaluation is None or evaluation.is_over else str(evaluation))

    def _format_status(self) -> str:
        done, micro_batches = self._micro_batch
        part = f", micro-batch {done:,} of {micro_batches:,} of the next" if 0 < done < micro_batches else ""
        line = f"{self._format_step(self._step)}{part}"
        steps = self._step - self.first_step + done / micro_batches
        if not steps:
            return f"{line}   {format_duration(self.seconds)} since the start"
        return f"{line}   {format_duration(self.seconds / steps * (self.config.max_steps - self.first_step - steps))} left"

    def _format_step(self, step: int) -> str:
        width = len(f"{self.config.max_steps:,}")
        return f"step {step:>{width},} of {self.config.max_steps:,}"

    def _seconds_left(self, step: int) -> float:
        return self.seconds / (step - self.first_step) * (self.config.max_steps - step)

    def _format_row(self, row: Measurement) -> str:
        head = f"{self._format_step(row.step)}   validation loss {row.validation_loss:.4f}"
        if row.training_loss is None or row.learning_rate is None or row.tokens_per_second is None:
            return f"{head}   (before training)"
        return (
            f"{head}   training {row.training_loss:.4f}   lr {row.learning_rate:.2e}   "
            f"{row.tokens_per_second:,.0f} tokens/s   {format_duration(self._seconds_left(row.step))} left"
        )

    def close(self) -> None:
        """Close the bar, and draw the last plot."""
        self._closed.set()
        if self._status_thread is not None:
            self._status_thread.join()
        self.bar.close()
        self.draw(last=True)
        self._plot_executor.shutdown()


class EvaluationProgress:
    """Counts the batches of an evaluation. Prints once how long the rest takes, if that is long."""

    def __init__(self, progress: Progress, what: str, batches: int) -> None:
        self.progress, self.what, self.batches = progress, what, batches
        self.done, self.began, self.announced = 0, time.perf_counter(), False

    def update(self) -> None:
        """Count a batch."""
        self.done += 1
        elapsed = time.perf_counter() - self.began
        if self.done == 1 or elapsed < 1:
            return
        if not self.announced and self._seconds_left() > ANNOUNCE_AFTER_SECONDS:
            self.progress.print(str(self))
        self.announced = True

    @property
    def is_over(self) -> bool:
        """Whether all batches are done."""
        return self.done >= self.batches

    def _seconds_left(self) -> float:
        return (time.perf_counter() - self.began) / self.done * (self.batches - self.done)

    def __str__(self) -> str:
        return f"{self.what}: " + (f"about {format_duration(self._seconds_left())} more" if self.done else "the first batch")


def print_line(line: str, *, always: bool = False) -> None:
    """Log a line. Print it on stderr, above the bar, unless output is quiet; with ``always``, even then."""
    if always or not is_quiet():
        tqdm.write(line, file=sys.stderr)
    log.info(line)


def print_result(text: str) -> None:
    """Print the result of a run on stdout, and log it."""
    print(text, flush=True)
    log.info(text)
