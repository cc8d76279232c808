"""The training loop: batch, forward, backward, clip, step, measure, save. Read :meth:`Trainer.train` first.

A step is a step: which sequences it sees follows from the seed and its number, their dropout from the seed,
its number and the process's rank. So the state of a run is weights, optimizer and step, which is what a
checkpoint holds.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning_fabric import Fabric
from transformers import GPT2LMHeadModel

from gpt2hydra.checkpoint import folder as checkpoint_folder
from gpt2hydra.checkpoint import state
from gpt2hydra.checkpoint.run_checkpoints import CheckpointInfo
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.data.batches import BatchSampler
from gpt2hydra.data.tokenizer import Tokenizer
from gpt2hydra.data.tokens import Tokens
from gpt2hydra.inference.sampling import Sample
from gpt2hydra.training.checkpointing import Checkpointer
from gpt2hydra.training.evaluation import Evaluator, to_device
from gpt2hydra.training.fabric import DistributedStopFlag, Requests, accumulating, gradient_norm, seed_dropout
from gpt2hydra.training.loss_buffer import LossBuffer
from gpt2hydra.training.model import WithLoss, compiles
from gpt2hydra.training.optimizer import adamw, set_learning_rate
from gpt2hydra.training.outcome import Diverged
from gpt2hydra.training.progress import Progress
from gpt2hydra.training.sample import format_sample, sample
from gpt2hydra.training.signals import TIME_LIMIT, Signals, StopRequested
from gpt2hydra.training.stall import StallDetector
from gpt2hydra.training.tracker import SafeLogger


@dataclass(frozen=True)
class Data:
    """The text of a run, as tokens."""

    tokenizer: Tokenizer
    training: Tokens
    validation: Tokens


class Trainer:
    """One training run, in one of its processes. The first of them (rank 0) writes and prints."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        fabric: Fabric,
        gpt2: GPT2LMHeadModel,
        data: Data,
        progress: Progress,
        logger: SafeLogger,
        signals: Signals,
        *,
        checkpoint: CheckpointInfo | None = None,
        parent: CheckpointInfo | None = None,
        began: float | None = None,
    ) -> None:
        """Args:
        checkpoint: of this run, which continues after it.
        parent: of another run, which this one is a fork of.
        began: by ``time.monotonic()``, from when ``training.max_hours`` count; by default from now.
        """
        self.config, self.settings, self.folder = config, config.training, folder
        self.fabric, self.progress, self.logger, self.signals = fabric, progress, logger, signals
        self.data, self.gpt2 = data, gpt2
        model: Any = WithLoss(gpt2)
        if compiles(self.settings, fabric.device):
            model = torch.compile(model, dynamic=False)
        self.model = fabric.setup_module(model)
        self.adamw = adamw(gpt2, self.settings)
        self.optimizer: Any = fabric.setup_optimizers(self.adamw)
        self.batches = BatchSampler(
            *(data.training, self.settings.seq_len, self.settings.sequences_per_step, self.settings.seed, config.data.order)
        )
        self.step = 0
        """Steps done."""
        self.losses: list[float] = []
        """Of the steps since the last row of loss.csv, as far as they were fetched from the device."""
        self.norm: float | None = None
        """Of the last step's gradients, before they were clipped, if it was fetched."""
        self.skipped_steps = 0
        """Since the last row of loss.csv: their gradient norm was above ``skip_spike_norm``."""
        self.validation_loss = math.nan
        """Of the last evaluation."""
        self.stopped_early = False
        self.evaluator = Evaluator(fabric, self.model, data.validation, self.settings, progress)
        self.checkpoints = Checkpointer(config, folder, fabric, data.tokenizer, checkpoint or parent)
        self.first_step = 0 if parent is None else parent.step
        self._losses_on_device = LossBuffer(fabric.device)
        self._norm_on_device: torch.Tensor | None = None
        self._began = time.monotonic() if began is None else began
        self.stall_detector = StallDetector(fabric, folder, self.settings.stall_timeout)
        self._stop_flag = DistributedStopFlag(fabric, self._requests, self.settings.stall_timeout)
        if checkpoint is not None:
            self.load_state_dict(state.load(checkpoint.folder))
        elif parent is not None:
            self.load_state_dict(state.load(parent.folder))
            self._start_row()

    # ----------------------------------------------------------------------------------------------------------- the loop

    def train(self) -> float:
        """Train from the next step to the last one, then measure the validation loss.

        Raises:
            StopRequested: a signal came, or ``max_hours`` have passed. The run is saved.
            Diverged: a loss is not finite.
        """
        if self._has_row():
            self._start_row()
        else:  # the model before training, or an evaluation that was interrupted
            self._measure_and_save()
        self.stopped_early = self._is_out_of_patience()
        while self.step < self.settings.max_steps and not self.stopped_early:
            self._stop_flag.ask()
            self.train_step()
            requests = self._stop_flag.answer()
            self._measure_and_save(save=bool(requests.save))
            if requests.stop:
                self._stop(requests.stop)
        self.save_checkpoint()  # an early stop may come between two of them
        return self.final_evaluation()

    def train_step(self) -> None:
        """Batch, forward, backward, clip, step."""
        settings, fabric = self.settings, self.fabric
        self.stall_detector.beat()
        seed_dropout(fabric.device, settings.seed, self.step, fabric.global_rank)
        set_learning_rate(self.adamw, settings.learning_rate_at(self.step))
        self._losses_on_device.append(self._forward_and_backward())
        if settings.max_grad_norm or settings.skip_spike_norm or self._has_row_at(self.step + 1):
            self._norm_on_device = gradient_norm(fabric, self.model, self.optimizer, settings.max_grad_norm or math.inf)
        if self._is_spike():
            self.skipped_steps += 1
        else:
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self.progress.step_done(self.step)

    def _forward_and_backward(self) -> torch.Tensor:
        """Add up this process's gradients of a step. Returns its part of the step's loss, still on the device."""
        settings, fabric = self.settings, self.fabric
        mine = settings.sequences_per_step // fabric.world_size
        micro_batches = math.ceil(mine / settings.batch_size)
        total = torch.zeros((), device=fabric.device)
        batches = self.batches.micro_batches(self.step, settings.batch_size, fabric.global_rank, fabric.world_size)
        for number, batch in enumerate(batches, 1):
            inputs, targets = to_device(batch, fabric.device)
            with accumulating(fabric, self.model, more=number < micro_batches):
                loss = self.model(inputs, targets) * (len(inputs) / mine)
                fabric.backward(loss)
            total += loss.detach()
            self.progress.pass_done(number, micro_batches)
        return total

    def _is_spike(self) -> bool:
        """Whether the gradients are too large, or NaN. Waits for the device where that is to be known."""
        limit, norm = self.settings.skip_spike_norm, self._norm_on_device
        return limit > 0 and norm is not None and not norm.item() <= limit

    # ---------------------------------------------------------------------------------------------- measurements and saves

    def _has_row_at(self, step: int) -> bool:
        """Whether loss.csv gets a row after so many steps."""
        return self.settings.evaluates_at(step) or step % self.settings.log_interval == 0 or step == self.first_step

    def _measure_and_save(self, save: bool = False) -> None:
        """Do what is due after this step: a checkpoint, an evaluation, a row of loss.csv.

        The checkpoint comes first, so that nothing is lost if the evaluation is interrupted.
        """
        settings, step = self.settings, self.step
        begins = step == self.first_step
        evaluates = settings.evaluates_at(step) or begins
        saves = (save or settings.saves_at(step)) and not begins
        if not (saves or self._has_row_at(step)):
            return
        training_loss = self._mean_training_loss()
        with self.progress.paused():
            if saves:
                self.checkpoints.prune()  # the last one is known to be sound, for steps were taken from it
                self.save_checkpoint()
            if evaluates:
                self.validation_loss = self.evaluate()
            if saves and evaluates:
                self.checkpoints.prune()
        validation_loss = self.validation_loss if evaluates else None
        if self._has_row_at(step):
            rate = None if begins else settings.learning_rate_at(step - 1)
            row = self.progress.add(step, training_loss, validation_loss, rate, self.norm, self.skipped_steps)
            self.logger.numbers(row)
            self._start_row()
        if evaluates and not begins:
            with self.progress.paused():
                self.progress.draw()
                self._print_sample_if_due()
                self.stopped_early = self._is_out_of_patience()

    def _start_row(self) -> None:
        self.losses.clear()
        self.skipped_steps = 0

    def _has_row(self) -> bool:
        """Whether loss.csv has a row of this step: asked of the first process, which alone has the table."""
        rows = self.progress.table.rows if self.progress.table is not None else []
        measured = [row.validation_loss for row in rows if row.validation_loss is not None]
        last = (rows[-1].step if rows else -1, measured[-1] if measured else math.nan)
        step, self.validation_loss = self.fabric.broadcast(last)
        return bool(step == self.step)

    def _is_out_of_patience(self) -> bool:
        """Whether the validation loss has not fallen in so many evaluations: asked of the first process."""
        patience, table = self.settings.early_stopping_patience, self.progress.table
        if not patience:
            return False
        return bool(self.fabric.broadcast(table is not None and table.evaluations_since_best() >= patience))

    def _mean_training_loss(self) -> float | None:
        """Of the steps since the last row, over the parts of all processes. They are fetched from the device at once.

        Raises:
            Diverged: one of them is not finite.
        """
        if self._losses_on_device:
            mean: Any = self.fabric.all_reduce(self._losses_on_device.take(), reduce_op="mean")
            self.losses += mean.tolist()
        if self._norm_on_device is not None:
            self.norm, self._norm_on_device = self._norm_on_device.item(), None
        for step, loss in enumerate(self.losses, self.step - len(self.losses) + 1):
            self._check_finite(loss, step, computed_after=step - 1)
        return math.fsum(self.losses) / len(self.losses) if self.losses else None

    def evaluate(self) -> float:
        """The validation loss on ``eval_sequences`` of the validation text, written into this step's checkpoint.

        Raises:
            StopRequested, Diverged: as :meth:`train` does.
        """
        loss = self.evaluator.evaluate(self._heed_signals)
        self._check_finite(loss, self.step, computed_after=self.step)
        if self.checkpoints.has(self.step):
            self.checkpoints.evaluated(loss)
        return loss

    def final_evaluation(self) -> float:
        """The validation loss on ``final_eval_sequences``; where there are none, that of the last evaluation."""
        if self.settings.final_eval_sequences == 0:
            return self.validation_loss
        loss = self.evaluator.final(self.step, self._heed_signals)
        self._check_finite(loss, self.step, computed_after=self.step)
        return loss

    def _check_finite(self, loss: float, step: int, computed_after: int) -> None:
        """A checkpoint of the weights that gave a loss that is not finite, those after ``computed_after`` steps, is removed."""
        if math.isfinite(loss):
            return
        if computed_after == self.first_step and self._weights_from is not None:
            raise Diverged.loaded(*self._weights_from, loss)
        if self.checkpoints.has(computed_after):
            self.checkpoints.discard()
        raise Diverged.at(self.settings, step, loss, self.checkpoints.last_folder)

    @property
    def _weights_from(self) -> tuple[str, str] | None:
        """The key and folder of the weights that the run begins with; None where they are new."""
        given = {"fork_from": self.config.fork_from, "init_from": self.config.init_from}
        return next(((key, folder) for key, folder in given.items() if folder is not None), None)

    def _print_sample_if_due(self) -> None:
        """At an evaluation, if a multiple of ``sample_interval`` was passed since the evaluation before."""
        interval, before = self.settings.sample_interval, max(0, self.step - self.settings.eval_interval)
        if interval and self.step < self.settings.max_steps and self.step // interval > before // interval:
            drawn = self.sample()
            if drawn is not None:
                self.progress.print(f"\n{format_sample(drawn, f' at step {self.step:,}')}\n")
                self.logger.sample(self.step, drawn.text)

    def sample(self) -> Sample | None:
        """A text that the model writes; None in all processes but the first. Under FSDP, the last checkpoint writes it."""
        if not self.fabric.is_global_zero or not self.settings.sample_tokens:
            return None
        if self.settings.strategy != "fsdp":
            return sample(self.config, self.data.tokenizer, self.gpt2)
        last = self.checkpoints.last_folder  # no process has the complete model
        return None if last is None else sample(self.config, self.data.tokenizer, checkpoint_folder.load(str(last))[0])

    # ------------------------------------------------------------------------------------------------------------ stopping

    def _requests(self) -> Requests:
        """What this process asks of all of them. The first one's clock counts."""
        stop, save = self.signals.received or 0, 0
        if self.fabric.is_global_zero:
            now, settings = time.monotonic(), self.settings
            if settings.max_hours and now - self._began > settings.max_hours * 3600:
                stop = stop or TIME_LIMIT
            save = int(settings.save_minutes > 0 and now - self.checkpoints.saved_at > settings.save_minutes * 60)
        return Requests(stop, save)

    def _heed_signals(self) -> None:
        """Between two passes of an evaluation: all processes look whether one of them is to stop."""
        self.stall_detector.beat()
        self._stop_flag.ask()
        requests = self._stop_flag.answer()
        if requests.stop:
            self._stop(requests.stop)

    def _stop(self, reason: int) -> NoReturn:
        """Save what was not saved at this step, and stop."""
        self._mean_training_loss()
        if self.step > self.first_step and (self.norm is None or math.isfinite(self.norm)):
            self.save_checkpoint()
        raise StopRequested(reason)

    def close(self) -> None:
        """The training has ended, in whatever way."""
        self.stall_detector.close()

    # -------------------------------------------------------------------------------------------------------------- saving

    def state_dict(self) -> dict[str, Any]:
        """What training continues from. Every process must call this; only the first gets the tensors."""
        first = self.fabric.is_global_zero
        loop = {"step": self.step, "losses": self.losses, "gradient_norm": self.norm, "skipped_steps": self.skipped_steps}
        return {
            "model": state.weights_of(self.gpt2, keep=first),
            "optimizer": state.optimizer_of(self.gpt2, self.adamw, keep=first),
            "loop": loop,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned.

        Raises:
            ConfigError: it is of another model.
        """
        state.restore(self.gpt2, self.adamw, saved["model"], saved["optimizer"])
        loop = saved["loop"]
        self.step, self.losses = loop["step"], loop["losses"]
        self.norm, self.skipped_steps = loop["gradient_norm"], loop["skipped_steps"]

    def save_checkpoint(self) -> None:
        """A checkpoint of this step, if there is none."""
        if not self.checkpoints.has(self.step):
            self.checkpoints.save(self.step, self.state_dict())
