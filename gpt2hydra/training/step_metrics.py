"""What was measured in steps. It stays on the device until much of it is read at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from lightning_fabric import Fabric


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


class StepMetrics:
    """Of the steps since the last row of loss.csv."""

    def __init__(self, fabric: Fabric) -> None:
        self.losses: list[float] = []
        """As far as they were fetched from the device."""
        self.gradient_norm: float | None = None
        """Of the last step, before its gradients were clipped, if it was fetched."""
        self.skipped_steps = 0
        """Their gradient norm was above ``skip_spike_norm``."""
        self._fabric = fabric
        self._losses_on_device = LossBuffer(fabric.device)
        self._norm_on_device: torch.Tensor | None = None

    def add(self, loss: torch.Tensor, norm: torch.Tensor | None, skipped: bool) -> None:
        """Take a step's loss, of this process's part, and its gradient norm, if that was computed."""
        self._losses_on_device.append(loss)
        self._norm_on_device = self._norm_on_device if norm is None else norm
        self.skipped_steps += skipped

    def fetch(self, step: int) -> Iterator[tuple[int, float]]:
        """Read everything from the device, after ``step``. Returns the steps and their losses."""
        if self._losses_on_device:
            mean: Any = self._fabric.all_reduce(self._losses_on_device.take(), reduce_op="mean")
            self.losses += mean.tolist()
        if self._norm_on_device is not None:
            self.gradient_norm, self._norm_on_device = self._norm_on_device.item(), None
        return enumerate(self.losses, step - len(self.losses) + 1)

    @property
    def mean_loss(self) -> float | None:
        """None without any step."""
        return math.fsum(self.losses) / len(self.losses) if self.losses else None

    def start_row(self) -> None:
        """From now on, of the steps that follow."""
        self.losses.clear()
        self.skipped_steps = 0

    def state_dict(self) -> dict[str, Any]:
        """Plain values, to continue from."""
        return {"losses": self.losses, "gradient_norm": self.gradient_norm, "skipped_steps": self.skipped_steps}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned."""
        self.losses, self.skipped_steps = saved["losses"], saved["skipped_steps"]
        self.gradient_norm = saved["gradient_norm"]
