"""How well a model predicts a text: the mean loss, without dropout."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from lightning_fabric import Fabric
from torch.nn.functional import pad

from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.data.batches import NOT_COUNTED, Batch, complete_text, evaluation, validation_starts
from gpt2hydra.data.tokens import Tokens
from gpt2hydra.training.fabric import pad_batches_across_ranks
from gpt2hydra.training.progress import Progress
from gpt2hydra.training.stall import StallDetector
from gpt2hydra.training.step_metrics import LossBuffer
from gpt2hydra.training.stop_requests import StopRequests


class Evaluator:
    """Measures the validation loss of a model in training."""

    def __init__(
        self,
        fabric: Fabric,
        model: Any,
        validation: Tokens,
        settings: TrainingConfig,
        progress: Progress,
        requests: StopRequests,
        stall_detector: StallDetector,
    ) -> None:
        """Args: model: a :class:`gpt2hydra.training.model.WithLoss` that Fabric has set up."""
        self.fabric, self.model, self.validation, self.settings, self.progress = fabric, model, validation, settings, progress
        self.requests, self.stall_detector = requests, stall_detector

    @property
    def sequences(self) -> int:
        """Of one evaluation: as many as are wanted, or as fit into the validation text."""
        return len(validation_starts(len(self.validation), self.settings.seq_len, self.settings.eval_sequences))

    def final_sequences(self, steps: int) -> int | None:
        """Of the evaluation at the end: those of all ``steps``, or as many as configured; None for all."""
        given, present = self.settings.final_eval_sequences, len(self.validation) // self.settings.seq_len
        wanted = steps * self.settings.sequences_per_step if given is None else given
        return wanted if wanted < present else None

    def evaluate(self) -> float:
        """On ``eval_sequences`` of the validation text, the same each time.

        Raises:
            StopRequested: one of the processes is to stop.
        """
        return self._on(self.sequences, f"evaluating on {self.sequences:,} sequences")

    def final(self, steps: int) -> float:
        """On :meth:`final_sequences`, spread evenly, or on each token of the validation text but the first.

        Raises:
            StopRequested: one of the processes is to stop.
        """
        sequences = self.final_sequences(steps)
        if sequences is not None:
            return self._on(sequences, f"measuring {sequences:,} sequences of the validation text")
        settings, fabric = self.settings, self.fabric
        batches = complete_text(
            self.validation, settings.seq_len, settings.batch_size, rank=fabric.global_rank, processes=fabric.world_size
        )
        return self._mean(batches, len(self.validation) // settings.seq_len, "measuring the complete validation text")

    def _on(self, sequences: int, what: str) -> float:
        settings, ranks = self.settings, (self.fabric.global_rank, self.fabric.world_size)
        batches = evaluation(self.validation, settings.seq_len, sequences, settings.batch_size, *ranks)
        return self._mean(batches, sequences, what)

    def _mean(self, batches: Iterator[Batch], sequences: int, what: str) -> float:
        settings = self.settings
        waiting = self.progress.waiting(what, math.ceil(sequences / (settings.batch_size * self.fabric.world_size)))

        def after_each_pass() -> None:
            waiting.passed()
            self.stall_detector.beat()
            self.requests.heed_stop()

        return mean_loss(self.fabric, self.model, batches, settings.batch_size, settings.seq_len, after_each_pass)


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
        model: a :class:`gpt2hydra.training.model.WithLoss` that Fabric has set up. It trains again
            afterwards.
        passed: called after each pass, of which all processes have as many. What it raises ends the
            evaluation.
    """
    losses, counts = LossBuffer(fabric.device), []
    nothing = Batch(torch.zeros(1, seq_len, dtype=torch.long), torch.zeros(1, seq_len, dtype=torch.long))
    model.eval()
    try:
        for batch, is_counted in pad_batches_across_ranks(fabric, batches, nothing):
            losses.append(model(*to_device(_padded(batch, batch_size), fabric.device)))
            counts.append(batch.counted if is_counted else 0)
            passed()
    finally:
        model.train()
    of_passes = losses.take().tolist()
    total = math.fsum(loss * count for loss, count in zip(of_passes, counts, strict=True) if count)
    if fabric.world_size == 1:
        return total / sum(counts)
    of_all: Any = fabric.all_reduce(
        torch.tensor([total, sum(counts)], dtype=torch.float64, device=fabric.device), reduce_op="sum"
    )
    return float(of_all[0] / of_all[1])


def _padded(batch: Batch, batch_size: int) -> Batch:
    """With rows that do not count: all passes have one shape, and ``torch.compile`` compiles once."""
    absent = batch_size - len(batch.inputs)
    if absent <= 0:
        return batch
    return Batch(pad(batch.inputs, (0, 0, 0, absent)), pad(batch.targets, (0, 0, 0, absent), value=NOT_COUNTED))


def to_device(batch: Batch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets on the device. A GPU fetches them while it still computes."""
    if device.type != "cuda":
        return batch.inputs.to(device), batch.targets.to(device)
    inputs, targets = batch.inputs.pin_memory(), batch.targets.pin_memory()
    return inputs.to(device, non_blocking=True), targets.to(device, non_blocking=True)
