"""The metrics of steps. They stay on the device until those of several steps are read together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from lightning_fabric import Fabric


class LossBuffer:
    """Scalars in one tensor, in the order in which they were added.

    A GPU is not stopped to read each of them. On a CPU, one small tensor for each would fragment the heap,
    because it stays between large tensors that are freed: an evaluation of 512 batches grew by 2 MB a batch.
    """

    def __init__(self, device: torch.device) -> None:
        self._values = torch.zeros(64, device=device)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, loss: torch.Tensor) -> None:
        """Add a scalar."""
        if self._count == len(self._values):
            self._values = torch.cat([self._values, torch.zeros_like(self._values)])
        self._values[self._count] = loss.detach()
        self._count += 1

    def take(self) -> torch.Tensor:
        """Remove and return all scalars (N,), still on the device."""
        taken = self._values[: self._count].clone()
        self._count = 0
        return taken


class StepMetrics:
    """Losses and gradient norm of the steps since the last row of loss.csv."""

    def __init__(self, fabric: Fabric) -> None:
        self.losses: list[float] = []
        """The losses of the steps, by now fetched from the device."""
        self.gradient_norm: float | None = None
        """Of the last step, before clipping; None if it was not fetched."""
        self.skipped_steps = 0
        """The number of steps that were skipped: their gradient norm was above ``skip_spike_norm``."""
        self._fabric = fabric
        self._losses_on_device = LossBuffer(fabric.device)
        self._norm_on_device: torch.Tensor | None = None

    def add_step(self, loss: torch.Tensor, norm: torch.Tensor | None, skipped: bool) -> None:
        """Add a step: the loss of this process's part, and the gradient norm, if it was computed."""
        self._losses_on_device.append(loss)
        self._norm_on_device = self._norm_on_device if norm is None else norm
        self.skipped_steps += skipped

    def fetch(self, step: int) -> Iterator[tuple[int, float]]:
        """Fetch all metrics after ``step``. Return each step with its loss, the mean over all processes."""
        if self._losses_on_device:
            mean: Any = self._fabric.all_reduce(self._losses_on_device.take(), reduce_op="mean")
            self.losses += mean.tolist()
        if self._norm_on_device is not None:
            self.gradient_norm, self._norm_on_device = self._norm_on_device.item(), None
        return enumerate(self.losses, step - len(self.losses) + 1)

    @property
    def mean_loss(self) -> float | None:
        """The mean loss of the steps; None if there are none."""
        return math.fsum(self.losses) / len(self.losses) if self.losses else None

    def reset(self) -> None:
        """Start a new row: forget the steps so far."""
        self.losses.clear()
        self.skipped_steps = 0

    def state_dict(self) -> dict[str, Any]:
        """The metrics as plain values, for a checkpoint."""
        return {"losses": self.losses, "gradient_norm": self.gradient_norm, "skipped_steps": self.skipped_steps}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.losses, self.skipped_steps = saved["losses"], saved["skipped_steps"]
        self.gradient_norm = saved["gradient_norm"]
