"""Requests to a run: to stop, by a signal or the clock, and to save. All processes get the same ones."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric

from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.training.signals import TIME_LIMIT, Signals, StopRequested


class Requests(NamedTuple):
    """The requests of a process for the end of a step, besides what the step's number makes due."""

    stop: int = 0
    """The signal that was received, or ``TIME_LIMIT``; 0 for none."""
    save: int = 0
    """1 if a checkpoint is due by the clock, else 0."""


class SharedRequests:
    """Reduces the requests of all processes to their maximum, so that all of them act after the same step.

    The all-reduce runs while a step is computed, in its own gloo group on the CPU, so it does not wait for
    the device.
    """

    def __init__(self, fabric: Fabric, settings: TrainingConfig, signals: Signals, began: float) -> None:
        """Make the gloo group.

        Args:
            began: the time, by ``time.monotonic()``, from which ``training.max_hours`` count.
        """
        self._settings, self._signals, self._began = settings, signals, began
        self._saved_at = time.monotonic()
        self._is_rank_zero, self._is_single_process = fabric.is_global_zero, fabric.world_size == 1
        self._group: Any = None
        if not self._is_single_process:
            self._group = torch.distributed.new_group(backend="gloo", timeout=timedelta(seconds=settings.stall_timeout))
        self._flags = torch.tensor(Requests(), dtype=torch.int32)
        self._work: Any = None

    def restart_save_clock(self) -> None:
        """Restart the clock of ``save_minutes``, because a checkpoint was saved."""
        self._saved_at = time.monotonic()

    def start(self) -> None:
        """Start the all-reduce, at the start of a step."""
        if not self._is_single_process:
            self._flags = torch.tensor(self._own_requests(), dtype=torch.int32)
            self._work = torch.distributed.all_reduce(
                self._flags, op=torch.distributed.ReduceOp.MAX, group=self._group, async_op=True
            )

    def wait(self) -> Requests:
        """Wait for the all-reduce, at the end of the step. Return the requests, the same on every rank."""
        if self._is_single_process:
            return self._own_requests()
        self._work.wait()
        return Requests(*self._flags.tolist())

    def stop_if_requested(self) -> None:
        """Reduce the requests now, between two batches of an evaluation, and stop if any process requests it.

        Raises:
            StopRequested: a process requests a stop.
        """
        self.start()
        requests = self.wait()
        if requests.stop:
            raise StopRequested(requests.stop)

    def _own_requests(self) -> Requests:
        """The requests of this process. Only rank 0 looks at the clock."""
        stop, save, now, settings = self._signals.received or 0, False, time.monotonic(), self._settings
        if self._is_rank_zero:
            if settings.max_hours and now - self._began > settings.max_hours * 3600:
                stop = stop or TIME_LIMIT
            save = settings.save_minutes > 0 and now - self._saved_at > settings.save_minutes * 60
        return Requests(stop, int(save))
