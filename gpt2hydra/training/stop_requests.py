"""What is asked of a run besides its steps, by a signal or the clock: to stop, to save."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric

from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.training.signals import TIME_LIMIT, Signals, StopRequested


class Requests(NamedTuple):
    """What is to be done after a step, besides what its number says."""

    stop: int = 0
    """The signal that was received, or ``TIME_LIMIT``; 0 for none."""
    save: int = 0
    """1 where a checkpoint is due by the clock."""


class StopRequests:
    """The requests of all processes, the largest of each, known to all of them after the same step.

    The question goes around while a step is computed, over a group of its own on the CPU, so no device is
    waited for.
    """

    def __init__(self, fabric: Fabric, settings: TrainingConfig, signals: Signals, began: float) -> None:
        """Args: began: by ``time.monotonic()``, from when ``training.max_hours`` count."""
        self._settings, self._signals, self._began = settings, signals, began
        self._saved_at = time.monotonic()
        self._first, self._alone = fabric.is_global_zero, fabric.world_size == 1
        self._group: Any = None
        if not self._alone:
            self._group = torch.distributed.new_group(backend="gloo", timeout=timedelta(seconds=settings.stall_timeout))
        self._flags = torch.tensor(Requests(), dtype=torch.int32)
        self._work: Any = None

    def saved(self) -> None:
        """A checkpoint was saved now."""
        self._saved_at = time.monotonic()

    def ask(self) -> None:
        """Begin to ask all processes, at the start of a step."""
        if not self._alone:
            self._flags = torch.tensor(self._of_this_process(), dtype=torch.int32)
            self._work = torch.distributed.all_reduce(
                self._flags, op=torch.distributed.ReduceOp.MAX, group=self._group, async_op=True
            )

    def answer(self) -> Requests:
        """At the end of the step: what all do now."""
        if self._alone:
            return self._of_this_process()
        self._work.wait()
        return Requests(*self._flags.tolist())

    def heed_stop(self) -> None:
        """Ask, and wait for the answer: between two passes of an evaluation.

        Raises:
            StopRequested: one of the processes is to stop.
        """
        self.ask()
        requests = self.answer()
        if requests.stop:
            raise StopRequested(requests.stop)

    def _of_this_process(self) -> Requests:
        """What this process asks of all of them. The first one's clock counts."""
        stop, save, now, settings = self._signals.received or 0, False, time.monotonic(), self._settings
        if self._first:
            if settings.max_hours and now - self._began > settings.max_hours * 3600:
                stop = stop or TIME_LIMIT
            save = settings.save_minutes > 0 and now - self._saved_at > settings.save_minutes * 60
        return Requests(stop, int(save))
