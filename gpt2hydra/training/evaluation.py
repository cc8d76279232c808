"""How well a model predicts a text: the mean loss, without dropout."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from lightning_fabric import Fabric
from torch.nn.functional import pad

from gpt2hydra.data.batches import NOT_COUNTED, Batch
from gpt2hydra.training.fabric import pad_batches_across_ranks
from gpt2hydra.training.losses import Losses


@torch.no_grad()
def mean_loss(
    fabric: Fabric,
    model: Any,
    batches: Iterator[Batch],
    batch_size: int,
    seq_len: int,
    passed: Callable[[], None] = lambda: None,
) -> float:
    """Nats per token over all targets that count, of the batches of all processes together.

    Args:
        model: a :class:`gpt2hydra.training.model.WithLoss` that Fabric has set up. It trains again afterwards.
        passed: called after each pass.
    """
    model.eval()
    losses, counts = Losses(fabric.device), []
    nothing = Batch(torch.zeros(1, seq_len, dtype=torch.long), torch.zeros(1, seq_len, dtype=torch.long))
    for batch, counts_here in pad_batches_across_ranks(fabric, batches, nothing):
        losses.append(model(*to_device(_full(batch, batch_size), fabric.device)))
        counts.append(batch.counted if counts_here else 0)
        passed()
    model.train()
    of_passes = losses.take().tolist()
    total = math.fsum(loss * count for loss, count in zip(of_passes, counts, strict=True) if count)
    if fabric.world_size == 1:
        return total / sum(counts)
    of_all: Any = fabric.all_reduce(
        torch.tensor([total, sum(counts)], dtype=torch.float64, device=fabric.device), reduce_op="sum"
    )
    return float(of_all[0] / of_all[1])


def _full(batch: Batch, batch_size: int) -> Batch:
    """With rows that do not count, so that every pass has one shape, for which ``torch.compile`` compiles once."""
    absent = batch_size - len(batch.inputs)
    if absent <= 0:
        return batch
    return Batch(pad(batch.inputs, (0, 0, 0, absent)), pad(batch.targets, (0, 0, 0, absent), value=NOT_COUNTED))


def to_device(batch: Batch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets on the device. A GPU fetches them by itself while it computes what was asked before."""
    if device.type != "cuda":
        return batch.inputs.to(device), batch.targets.to(device)
    inputs, targets = batch.inputs.pin_memory(), batch.targets.pin_memory()
    return inputs.to(device, non_blocking=True), targets.to(device, non_blocking=True)
