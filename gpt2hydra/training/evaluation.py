"""The validation loss of a model in training: the mean loss, without dropout."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from lightning_fabric import Fabric
from torch.nn.functional import pad

from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.data.batches import IGNORE_INDEX, Batch, complete_text_batches, validation_batches, validation_starts
from gpt2hydra.data.tokens import Tokens
from gpt2hydra.training.fabric import pad_batches_across_ranks
from gpt2hydra.training.progress import Progress
from gpt2hydra.training.shared_requests import SharedRequests
from gpt2hydra.training.stall import StallDetector
from gpt2hydra.training.step_metrics import LossBuffer


class Evaluator:
    """Measures the validation loss of a model in training."""

    def __init__(
        self,
        fabric: Fabric,
        model: Any,
        validation: Tokens,
        settings: TrainingConfig,
        progress: Progress,
        requests: SharedRequests,
        stall_detector: StallDetector,
    ) -> None:
        """Measure on the tokens of ``validation``.

        Args:
            model: a :class:`gpt2hydra.training.model.GPT2WithLoss` that Fabric has set up.
        """
        self.fabric, self.model, self.validation, self.settings, self.progress = fabric, model, validation, settings, progress
        self.requests, self.stall_detector = requests, stall_detector

    @property
    def sequences(self) -> int:
        """The number of sequences of one evaluation: ``eval_sequences``, or fewer in a short text."""
        return len(validation_starts(len(self.validation), self.settings.seq_len, self.settings.eval_sequences))

    def final_sequences(self, steps: int) -> int | None:
        """The sequences of the last evaluation, after ``steps``; None for the complete text."""
        given, present = self.settings.final_eval_sequences, len(self.validation) // self.settings.seq_len
        wanted = steps * self.settings.sequences_per_step if given is None else given
        return wanted if wanted < present else None

    def evaluate(self) -> float:
        """Return the loss on ``eval_sequences`` of the validation text, the same each time.

        Raises:
            StopRequested: a process requests a stop.
        """
        return self._evaluate_sequences(self.sequences, f"evaluating on {self.sequences:,} sequences")

    def evaluate_at_end(self, steps: int) -> float:
        """Return the loss on :meth:`final_sequences`, spread evenly, or on all tokens except the first.

        Raises:
            StopRequested: a process requests a stop."""
        sequences = self.final_sequences(steps)
        if sequences is not None:
            return self._evaluate_sequences(sequences, f"measuring {sequences:,} sequences of the validation text")
        settings, fabric = self.settings, self.fabric
        batches = complete_text_batches(
            self.validation, settings.seq_len, settings.batch_size, rank=fabric.global_rank, processes=fabric.world_size
        )
        return self._evaluate_batches(
            batches, len(self.validation) // settings.seq_len, "measuring the complete validation text"
        )

    def _evaluate_sequences(self, sequences: int, what: str) -> float:
        settings, ranks = self.settings, (self.fabric.global_rank, self.fabric.world_size)
        batches = validation_batches(self.validation, settings.seq_len, sequences, settings.batch_size, *ranks)
        return self._evaluate_batches(batches, sequences, what)

    def _evaluate_batches(self, batches: Iterator[Batch], sequences: int, what: str) -> float:
        settings = self.settings
        progress = self.progress.start_evaluation(what, math.ceil(sequences / (settings.batch_size * self.fabric.world_size)))

        def after_batch() -> None:
            progress.update()
            self.stall_detector.beat()
            self.requests.stop_if_requested()

        return mean_loss(self.fabric, self.model, batches, settings.batch_size, settings.seq_len, after_batch)


@torch.no_grad()
def mean_loss(
    fabric: Fabric,
    model: Any,
    batches: Iterator[Batch],
    batch_size: int,
    seq_len: int,
    on_batch: Callable[[], None] = lambda: None,
) -> float:
    """Return the mean loss over all targets that count, in the batches of all processes; in nats per token.

    Args:
        model: a :class:`gpt2hydra.training.model.GPT2WithLoss` that Fabric has set up. It is in training
            mode again afterwards.
        on_batch: called after each batch, equally often in every process. What it raises ends the evaluation.
    """
    losses, counts = LossBuffer(fabric.device), []
    empty_batch = Batch(torch.zeros(1, seq_len, dtype=torch.long), torch.zeros(1, seq_len, dtype=torch.long))
    model.eval()
    try:
        for batch, is_counted in pad_batches_across_ranks(fabric, batches, empty_batch):
            losses.append(model(*to_device(_pad_batch(batch, batch_size), fabric.device)))
            counts.append(batch.counted if is_counted else 0)
            on_batch()
    finally:
        model.train()
    batch_losses = losses.take().tolist()
    total = math.fsum(loss * count for loss, count in zip(batch_losses, counts, strict=True) if count)
    if fabric.world_size == 1:
        return total / sum(counts)
    summed: Any = fabric.all_reduce(
        torch.tensor([total, sum(counts)], dtype=torch.float64, device=fabric.device), reduce_op="sum"
    )
    return float(summed[0] / summed[1])


def _pad_batch(batch: Batch, batch_size: int) -> Batch:
    """Pad a batch with rows that do not count: with one shape, ``torch.compile`` compiles once."""
    absent = batch_size - len(batch.inputs)
    if absent <= 0:
        return batch
    return Batch(pad(batch.inputs, (0, 0, 0, absent)), pad(batch.targets, (0, 0, 0, absent), value=IGNORE_INDEX))


def to_device(batch: Batch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and targets on the device. To a GPU, the copy is asynchronous, from pinned memory."""
    if device.type != "cuda":
        return batch.inputs.to(device), batch.targets.to(device)
    inputs, targets = batch.inputs.pin_memory(), batch.targets.pin_memory()
    return inputs.to(device, non_blocking=True), targets.to(device, non_blocking=True)
