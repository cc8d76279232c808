"""Losses that stay on the device until many of them are read at once."""

from __future__ import annotations

import torch


class LossBuffer:
    """Scalars, in the order in which they came, in one tensor.

    A GPU continues to compute meanwhile. On a CPU, a small tensor for each, which stays between large ones
    that are freed, would keep the memory of these from being used again: an evaluation of 512 passes grew by
    2 MB a pass.
    """

    def __init__(self, device: torch.device) -> None:
        self._values = torch.zeros(64, device=device)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, loss: torch.Tensor) -> None:
        """Add one."""
        if self._count == len(self._values):
            self._values = torch.cat([self._values, torch.zeros_like(self._values)])
        self._values[self._count] = loss.detach()
        self._count += 1

    def take(self) -> torch.Tensor:
        """All of them (N,), still on the device; none stays."""
        taken = self._values[: self._count].clone()
        self._count = 0
        return taken
