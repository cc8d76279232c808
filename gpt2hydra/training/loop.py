"""The loop: batch, forward, backward, clip, step, measure, save. Read :meth:`Loop.run` first.

A step is a step: which sequences it sees follows from the seed and its number, their dropout from the seed, its number and the
process's rank. So the state of a run is weights, optimizer and step, which is what a checkpoint holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from transformers import GPT2LMHeadModel

from gpt2hydra.checkpoint import folder as checkpoint
from gpt2hydra.checkpoint import run_checkpoints, state
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.data.batches import Batch, BatchSampler, evaluation, validation_starts, whole_text
from gpt2hydra.data.tokenizer import Tokenizer
from gpt2hydra.data.tokens import Tokens
from gpt2hydra.runs.metrics_csv import Row
from gpt2hydra.training.evaluation import mean_loss, to_device
from gpt2hydra.training.fabric import DistributedStopFlag, accumulating, gradient_norm, seed_dropout
from gpt2hydra.training.losses import Losses
from gpt2hydra.training.optimizer import learning_rate, set_learning_rate
from gpt2hydra.training.outcome import Diverged
from gpt2hydra.training.progress import Progress
from gpt2hydra.training.signals import Signals
from gpt2hydra.utils.paths import relative_path

MEASURED_AT_THE_END = 2**20
"""Tokens of the validation text, or all that it has, or as many as the run trained on if those are more."""


class Cut(Exception):
    """The run was told to stop, and every process knows it."""


@dataclass
class Loop:
    """One training run, in one of its processes."""

    config: TrainConfig
    folder: Path
    fabric: Fabric
    gpt2: GPT2LMHeadModel
    model: Any
    """:class:`gpt2hydra.training.model.WithLoss` around ``gpt2``, as Fabric set it up."""
    adamw: torch.optim.Optimizer
    optimizer: Any
    """``adamw``, as Fabric set it up."""
    tokenizer: Tokenizer
    training: Tokens
    validation: Tokens
    progress: Progress
    signals: Signals
    measured: Callable[[Row], None]
    """Called with each row of the loss table."""
    evaluated: Callable[[Loop], None]
    """Called after each evaluation and its checkpoint."""
    step: int = 0
    """Steps done."""
    saved: run_checkpoints.CheckpointInfo | None = None
    """The last checkpoint."""
    losses: list[float] = field(default_factory=list)
    """Of the steps since the last row, as far as they were fetched from the device."""
    norm: float | None = None
    """Of the last step's gradients, if it was fetched."""

    def __post_init__(self) -> None:
        settings = self.config.training
        self.settings = settings
        self.order = BatchSampler(
            self.training, settings.seq_len, settings.sequences_per_step, settings.seed, self.config.data.order
        )
        self._stop = DistributedStopFlag(self.fabric)
        self._on_device = Losses(self.fabric.device)
        self._norm: torch.Tensor | None = None

    # ----------------------------------------------------------------------------------------------------------- the loop

    def run(self) -> None:
        """Train from the step that comes next to the last one.

        Raises:
            Cut: the run was told to stop. It is saved.
            Diverged: a loss is not finite.
        """
        settings, fabric = self.settings, self.fabric
        if self._has_row(self.step):
            self.losses.clear()
        elif self._due(self.step):  # the untrained model, or a measurement that was cut short
            self._measure()
        while self.step < settings.max_steps:
            self._stop.ask(self.signals.told is not None)
            seed_dropout(fabric.device, settings.seed, self.step, fabric.global_rank)
            set_learning_rate(self.adamw, learning_rate(settings, self.step))
            self._on_device.append(self._forward_and_backward())
            due = self._due(self.step + 1)
            if settings.max_grad_norm or due:
                self._norm = gradient_norm(fabric, self.model, self.optimizer, settings.max_grad_norm or math.inf)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.step += 1
            self.progress.bar.update()
            stops = self._stop.answer(self.signals.told is not None)
            if due:
                self._measure()
            if stops:
                self._cut()

    def _forward_and_backward(self) -> torch.Tensor:
        """Add up this process's gradients of a step; its part of the step's loss, still on the device."""
        settings, fabric = self.settings, self.fabric
        mine = settings.sequences_per_step // fabric.world_size
        passes = math.ceil(mine / settings.batch_size)
        total = torch.zeros((), device=fabric.device)
        batches = self.order.micro_batches(self.step, settings.batch_size, fabric.global_rank, fabric.world_size)
        for number, batch in enumerate(batches, 1):
            inputs, targets = to_device(batch, fabric.device)
            with accumulating(fabric, self.model, more=number < passes):
                loss = self.model(inputs, targets) * (len(inputs) / mine)
                fabric.backward(loss)
            total += loss.detach()
        return total

    # -------------------------------------------------------------------------------------------------------- measurements

    def _due(self, step: int) -> bool:
        return self._evaluates(step) or step % self.settings.log_interval == 0

    def _evaluates(self, step: int) -> bool:
        return step % self.settings.eval_interval == 0 or step == self.settings.max_steps

    def _has_row(self, step: int) -> bool:
        return self._row_before() == step

    def _row_before(self) -> int:
        """The step of the last row, -1 without one: the first process's, which alone has the table."""
        table = self.progress.table
        return int(self.fabric.broadcast(table.rows[-1].step if table is not None and table.rows else -1))

    def _measure(self) -> None:
        """A row of the loss table; at an evaluation, a checkpoint with it."""
        training = self._training_loss()
        rate = learning_rate(self.settings, self.step - 1) if self.step else None
        with self.progress.pause():
            validation = self._validation_loss() if self._evaluates(self.step) else None
        self.measured(self.progress.add(self.step, training, validation, rate, self.norm))
        if validation is not None:
            with self.progress.pause():
                if self.step:
                    self.save(validation)
                self.progress.picture()
                self.evaluated(self)
        self.losses.clear()

    def _training_loss(self) -> float | None:
        """The mean since the last row, fetched from the device at once, over the parts of all processes."""
        self._fetch()
        return math.fsum(self.losses) / len(self.losses) if self.losses else None

    def _fetch(self) -> None:
        """Get losses and gradient norm from the device, which waits for it.

        Raises:
            Diverged: one of them is not finite.
        """
        if self._on_device:
            mean: Any = self.fabric.all_reduce(self._on_device.take(), reduce_op="mean")
            self.losses += mean.tolist()
        if self._norm is not None:
            self.norm, self._norm = self._norm.item(), None
        first = self.step - len(self.losses) + 1
        for step, loss in enumerate(self.losses, first):
            self._see_that_finite(loss, step)

    def _validation_loss(self) -> float:
        """On ``eval_sequences`` of the validation text, always the same.

        Raises:
            Cut: the run was told to stop. It is saved as it was before.
        """
        settings, fabric, sequences = self.settings, self.fabric, self.eval_sequences
        batches = evaluation(
            self.validation, settings.seq_len, sequences, settings.batch_size, fabric.global_rank, fabric.world_size
        )
        return self._mean_loss(batches, f"evaluating on {sequences:,} sequences", sequences)

    @property
    def eval_sequences(self) -> int:
        """Of one evaluation: as many as are wanted, or as the validation text has room for."""
        return len(validation_starts(len(self.validation), self.settings.seq_len, self.settings.eval_sequences))

    @property
    def final_sequences(self) -> int | None:
        """Of the measurement at the end, if the validation text is longer than what the run trains on; None for all of it."""
        most = max(MEASURED_AT_THE_END, self.settings.max_steps * self.settings.tokens_per_step) // self.settings.seq_len
        return most if most < len(self.validation) // self.settings.seq_len else None

    def final_validation_loss(self) -> float:
        """On every token of the validation text but the first, each once; or on :attr:`final_sequences`, spread evenly.

        Raises:
            Cut: the run was told to stop.
        """
        settings, rank, processes = self.settings, self.fabric.global_rank, self.fabric.world_size
        sequences = self.final_sequences
        if sequences is None:
            batches = whole_text(self.validation, settings.seq_len, settings.batch_size, rank=rank, processes=processes)
            what, count = "the whole validation text", len(self.validation) // settings.seq_len
        else:
            batches = evaluation(self.validation, settings.seq_len, sequences, settings.batch_size, rank, processes)
            what, count = f"{sequences:,} sequences of the validation text", sequences
        return self._mean_loss(batches, f"measuring {what}", count)

    def _mean_loss(self, batches: Iterator[Batch], what: str, sequences: int) -> float:
        passes = math.ceil(sequences / (self.settings.batch_size * self.fabric.world_size))
        waiting = self.progress.waiting(what, passes)

        def passed() -> None:
            waiting.passed()
            if self.signals.told is not None and self.fabric.world_size == 1:
                self._cut()

        loss = mean_loss(self.fabric, self.model, batches, self.settings.batch_size, self.settings.seq_len, passed)
        self._see_that_finite(loss, self.step)
        return loss

    def _see_that_finite(self, loss: float, step: int) -> None:
        if not math.isfinite(loss):
            raise Diverged.at(self.settings, step, loss, self.saved_in_words())

    # -------------------------------------------------------------------------------------------------------------- saving

    def _cut(self) -> None:
        """Save what was not saved at this step, and stop."""
        self._fetch()
        unsaved = self.saved is None or self.saved.step != self.step
        if self.step and unsaved and (self.norm is None or math.isfinite(self.norm)):
            self.save(None)
        raise Cut

    def save(self, validation_loss: float | None) -> None:
        """A checkpoint of this step; of several processes, the first writes it, and all wait."""
        first = self.fabric.is_global_zero
        weights = state.weights_of(self.gpt2, keep=first)
        optimizer = state.optimizer_of(self.gpt2, self.adamw, keep=first)
        folder = run_checkpoints.place(self.folder, self.step)
        if first:
            checkpoint.save(
                folder,
                weights,
                self.tokenizer,
                self.config,
                self.step,
                validation_loss=validation_loss,
                optimizer=optimizer,
                losses=self.losses,
                gradient_norm=self.norm,
            )
            run_checkpoints.prune(self.folder, self.settings.keep_checkpoints)
        self.fabric.barrier()
        self.saved = run_checkpoints.CheckpointInfo(folder, self.step, validation_loss)

    def saved_in_words(self) -> str:
        """Whether there is a checkpoint."""
        if self.saved is None:
            return "there is no checkpoint yet"
        return f"the checkpoint of step {self.saved.step:,} is in {relative_path(self.saved.folder)}"
