"""A process that hangs: the others end the run after ``training.stall_timeout``, and name it.

PyTorch's own timeouts raise an error in the processes that wait. Each of them then says so in torchrun's
store, and whoever says nothing is the one that hangs. Shortly before, each process's stack is written into
the log, by ``faulthandler``.
"""

from __future__ import annotations

import faulthandler
import time
from datetime import timedelta
from pathlib import Path

import torch
from lightning_fabric import Fabric

from gpt2hydra.training.processes import rendezvous_store
from gpt2hydra.utils.paths import relative_path

LOG = "train.log"

GRACE = 10.0
"""Seconds, at most the timeout, within which all processes that wait have run into their timeout."""


class StallDetector:
    """Does nothing in a run of one process."""

    def __init__(self, fabric: Fabric, folder: Path, timeout: float) -> None:
        """Args: timeout: ``training.stall_timeout``, in seconds."""
        self.fabric, self.timeout = fabric, timeout
        self._log = None
        self._next_beat = 0.0
        if fabric.world_size > 1:
            folder.mkdir(parents=True, exist_ok=True)  # another machine may not have it
            self._log = (folder / LOG).open("a", encoding="utf-8")

    def beat(self) -> None:
        """This process is alive. Without another call, its stack is written after 0.9 of the timeout."""
        now = time.monotonic()
        if self._log is not None and now >= self._next_beat:
            self._next_beat = now + min(1.0, self.timeout / 10)
            faulthandler.dump_traceback_later(0.9 * self.timeout, file=self._log)

    def stalled(self, error: BaseException, step: int) -> str | None:
        """What ended a run in which ``error`` was raised, in words; None where that is no timeout."""
        if self._log is None or "timed out" not in str(error).lower():
            return None
        silent = self._silent_ranks()
        who = f"process {' and '.join(map(str, silent))} of {self.fabric.world_size}" if silent else "another process"
        log = relative_path(Path(self._log.name))
        self._log.write(f"The stack above is that of process {self.fabric.global_rank}, after step {step:,}: {who} hangs.\n")
        self._log.flush()
        return f"seconds passed without an answer from {who}; the stacks of the others are in {log}"

    def _silent_ranks(self) -> list[int]:
        """The processes that do not say, soon, that they wait too."""
        store, deadline = rendezvous_store(), time.monotonic() + min(GRACE, self.timeout)
        store.set(f"waiting/{self.fabric.global_rank}", "")
        silent = []
        for rank in range(self.fabric.world_size):
            try:
                store.wait([f"waiting/{rank}"], timedelta(seconds=max(0.1, deadline - time.monotonic())))
            except torch.distributed.DistError:
                silent.append(rank)
        return silent

    def close(self) -> None:
        """The run has ended."""
        if self._log is not None:
            faulthandler.cancel_dump_traceback_later()
            self._log.close()
            self._log = None
