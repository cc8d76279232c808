"""Detect a process that hangs: the others end the run after ``training.stall_timeout`` and report its rank.

PyTorch's own timeouts raise an error in the processes that wait. Each of them then sets a key in torchrun's
store; a rank without a key hangs. Shortly before the timeout, ``faulthandler`` writes each process's stack
into the log.
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

LOG_FILE = "train.log"

GRACE_SECONDS = 10.0
"""After one timeout, all waiting processes time out within this, or within the timeout if shorter."""


class StallDetector:
    """Writes stacks and finds the ranks that hang. Does nothing in a run of one process."""

    def __init__(self, fabric: Fabric, folder: Path, timeout: float) -> None:
        """Open the log.

        Args:
            timeout: ``training.stall_timeout``, in seconds.
        """
        self.fabric, self.timeout = fabric, timeout
        self._log = None
        self._next_beat = 0.0
        if fabric.world_size > 1:
            folder.mkdir(parents=True, exist_ok=True)  # it may not exist on another machine
            self._log = (folder / LOG_FILE).open("a", encoding="utf-8")

    def beat(self) -> None:
        """Report that this process is alive. Its stack is written if no call follows within 0.9 timeouts."""
        now = time.monotonic()
        if self._log is not None and now >= self._next_beat:
            self._next_beat = now + min(1.0, self.timeout / 10)
            faulthandler.dump_traceback_later(0.9 * self.timeout, file=self._log)

    def describe_timeout(self, error: BaseException, step: int) -> str | None:
        """Return the message of an ``error`` that is a timeout, and log which rank hangs; None for others."""
        if self._log is None or "timed out" not in str(error).lower():
            return None
        hanging = self._find_hanging_ranks()
        who = f"process {' and '.join(map(str, hanging))} of {self.fabric.world_size}" if hanging else "another process"
        log = relative_path(Path(self._log.name))
        self._log.write(f"The stack above is that of process {self.fabric.global_rank}, after step {step:,}: {who} hangs.\n")
        self._log.flush()
        return f"seconds passed without an answer from {who}; the stacks of the others are in {log}"

    def _find_hanging_ranks(self) -> list[int]:
        """Return the ranks that do not report within :data:`GRACE_SECONDS` that they wait too."""
        store, deadline = rendezvous_store(), time.monotonic() + min(GRACE_SECONDS, self.timeout)
        store.set(f"waiting/{self.fabric.global_rank}", "")
        hanging = []
        for rank in range(self.fabric.world_size):
            try:
                store.wait([f"waiting/{rank}"], timedelta(seconds=max(0.1, deadline - time.monotonic())))
            except torch.distributed.DistError:
                hanging.append(rank)
        return hanging

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            faulthandler.cancel_dump_traceback_later()
            self._log.close()
            self._log = None
