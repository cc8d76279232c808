"""The training loop: batch, forward, backward, clip, step, measure, save. Read :meth:`Trainer.train` first.

Steps are deterministic: the sequences of a step follow from the seed and the step's number, their dropout
from seed, number and the process's rank. So a checkpoint holds weights, optimizer and step, but no random
state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from transformers import GPT2LMHeadModel

from gpt2hydra.checkpoint import model_files, state
from gpt2hydra.checkpoint.run_checkpoints import CheckpointInfo
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.data.batches import SequenceSampler
from gpt2hydra.data.tokenizer import Tokenizer
from gpt2hydra.data.tokens import Tokens
from gpt2hydra.training.checkpointing import Checkpointer
from gpt2hydra.training.evaluation import Evaluator, to_device
from gpt2hydra.training.fabric import clip_gradients, defer_gradient_sync, seed_dropout
from gpt2hydra.training.model import GPT2WithLoss, uses_torch_compile
from gpt2hydra.training.optimizer import adamw, set_learning_rate
from gpt2hydra.training.progress import Progress
from gpt2hydra.training.result import Diverged
from gpt2hydra.training.sample import Sampler
from gpt2hydra.training.shared_requests import SharedRequests
from gpt2hydra.training.signals import StopRequested
from gpt2hydra.training.stall import StallDetector
from gpt2hydra.training.step_metrics import StepMetrics
from gpt2hydra.training.tracker import SafeTracker


@dataclass(frozen=True)
class Data:
    """The tokens of a run's text, and their tokenizer."""

    tokenizer: Tokenizer
    training: Tokens
    validation: Tokens


class Trainer:
    """One training run, in one of its processes. Only rank 0 writes and prints."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        fabric: Fabric,
        gpt2: GPT2LMHeadModel,
        data: Data,
        progress: Progress,
        tracker: SafeTracker,
        requests: SharedRequests,
        *,
        start_checkpoint: CheckpointInfo | None = None,
        first_step: int = 0,
    ) -> None:
        """Set up model, optimizer and evaluation, from ``start_checkpoint`` if there is one.

        Args:
            start_checkpoint: the last checkpoint of this run, or the checkpoint that is forked.
            first_step: the step of the forked checkpoint; 0 for any other run.
        """
        self.config, self.settings, self.folder, self.first_step = config, config.training, folder, first_step
        self.fabric, self.gpt2, self.data = fabric, gpt2, data
        self.progress, self.tracker, self.requests = progress, tracker, requests
        model: Any = GPT2WithLoss(gpt2)
        if uses_torch_compile(self.settings, fabric.device):
            model = torch.compile(model, dynamic=False)
        self.model = fabric.setup_module(model)
        self.adamw = adamw(gpt2, self.settings)
        self.optimizer: Any = fabric.setup_optimizers(self.adamw)
        self.batches = SequenceSampler(
            *(data.training, self.settings.seq_len, self.settings.sequences_per_step, self.settings.seed, config.data.order)
        )
        self.stall_detector = StallDetector(fabric, folder, self.settings.stall_timeout)
        self.evaluator = Evaluator(
            *(fabric, self.model, data.validation, self.settings, progress, requests, self.stall_detector)
        )
        self.checkpoints = Checkpointer(config, folder, fabric, data.tokenizer, start_checkpoint)
        self.sampler = Sampler(config, fabric, data.tokenizer, gpt2, progress, tracker)
        self.metrics = StepMetrics(fabric)
        self.step = 0
        """The number of steps done."""
        self.stopped_early = False
        if start_checkpoint is not None:
            self.load_state_dict(model_files.read_training_state(start_checkpoint.folder))
        last_row, self.validation_loss = fabric.broadcast(progress.last_step_and_loss())
        """Validation loss of the last evaluation; NaN before the first one."""
        self.has_row = last_row == self.step
        """Whether loss.csv has a row of this step; a run that was killed may have only its checkpoint."""

    # ----------------------------------------------------------------------------------------------------------- the loop

    def train(self) -> float:
        """Train from the next step to the last one. Return the final validation loss, in nats per token.

        Raises:
            StopRequested: a signal came, or ``max_hours`` have passed. The run is saved.
            Diverged: a loss is not finite.
        """
        try:
            if self.has_row or self.step == self.first_step:  # earlier steps have a row, or are of another run
                self.metrics.reset()
            if not self.has_row:  # the untrained model, or an evaluation that was interrupted
                self._measure_and_save()
            self.stopped_early = self._is_out_of_patience()
            while self.step < self.settings.max_steps and not self.stopped_early:
                self.requests.start()
                self.train_step()
                requests = self.requests.wait()
                self._measure_and_save(save=bool(requests.save))
                if requests.stop:
                    raise StopRequested(requests.stop)
            self.save_checkpoint()  # an early stop may come between two checkpoints
            return self.final_evaluation()
        except StopRequested:  # save this step, unless it is saved already or its weights diverged
            self._fetch_metrics()
            norm = self.metrics.gradient_norm
            if self.step > self.first_step and (norm is None or math.isfinite(norm)):
                self.save_checkpoint()
            raise

    def train_step(self) -> None:
        """Do one step: batch, forward, backward, clip, update."""
        settings, fabric, norm = self.settings, self.fabric, None
        self.stall_detector.beat()
        seed_dropout(fabric.device, settings.seed, self.step, fabric.global_rank)
        set_learning_rate(self.adamw, settings.learning_rate_at(self.step))
        loss = self._forward_and_backward()
        if settings.max_grad_norm or settings.skip_spike_norm or self._logs_at(self.step + 1):
            norm = clip_gradients(fabric, self.model, self.optimizer, settings.max_grad_norm or math.inf)
        is_spike = self._is_spike(norm)
        if not is_spike:
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.metrics.add_step(loss, norm, is_spike)
        self.step += 1
        self.progress.finish_step(self.step)

    def _forward_and_backward(self) -> torch.Tensor:
        """Accumulate this process's gradients of a step. Return its part of the loss, on the device."""
        settings, fabric = self.settings, self.fabric
        own_sequences = settings.sequences_per_step // fabric.world_size
        micro_batches = math.ceil(own_sequences / settings.batch_size)
        total = torch.zeros((), device=fabric.device)
        batches = self.batches.micro_batches(self.step, settings.batch_size, fabric.global_rank, fabric.world_size)
        for number, batch in enumerate(batches, 1):
            inputs, targets = to_device(batch, fabric.device)
            with defer_gradient_sync(fabric, self.model, more_follow=number < micro_batches):
                loss = self.model(inputs, targets) * (len(inputs) / own_sequences)
                fabric.backward(loss)
            total += loss.detach()
            self.progress.finish_micro_batch(number, micro_batches)
        return total

    def _is_spike(self, norm: torch.Tensor | None) -> bool:
        """Whether the norm is NaN or above ``skip_spike_norm``. Waits for the device if that is set."""
        limit = self.settings.skip_spike_norm
        return limit > 0 and norm is not None and not norm.item() <= limit

    # ---------------------------------------------------------------------------------------------- measurements and saves

    def _logs_at(self, step: int) -> bool:
        """Whether loss.csv gets a row after ``step`` steps."""
        return self.settings.evaluates_at(step) or step % self.settings.log_interval == 0 or step == self.first_step

    def _measure_and_save(self, save: bool = False) -> None:
        """Do what is due after this step: a checkpoint, an evaluation, a row of loss.csv.

        The checkpoint comes first, so that nothing is lost if the evaluation is interrupted.
        """
        settings, step = self.settings, self.step
        begins = step == self.first_step
        evaluates = settings.evaluates_at(step) or begins
        saves = (save or settings.saves_at(step)) and not begins
        if not (saves or self._logs_at(step)):
            return
        self._fetch_metrics()
        with self.progress.paused():
            if saves:
                self.checkpoints.prune()  # the last one is known to be good: training continued from it
                self.save_checkpoint()
            if evaluates:
                self.validation_loss = self.evaluate()
            if saves and evaluates:
                self.checkpoints.prune()
        if self._logs_at(step):
            training_loss, norm, skipped = self.metrics.mean_loss, self.metrics.gradient_norm, self.metrics.skipped_steps
            validation_loss = self.validation_loss if evaluates else None
            rate = None if begins else settings.learning_rate_at(step - 1)
            self.tracker.log_metrics(self.progress.log_row(step, training_loss, validation_loss, rate, norm, skipped))
            self.metrics.reset()
        if evaluates and not begins:
            with self.progress.paused():
                self.progress.draw()
                self.sampler.print_if_due(step, self.checkpoints.last_folder)
                self.stopped_early = self._is_out_of_patience()

    def _fetch_metrics(self) -> None:
        """Fetch the losses since the last row from the device.

        Raises:
            Diverged: one of them is not finite.
        """
        for step, loss in self.metrics.fetch(self.step):
            self._stop_if_diverged(loss, step, computed_after=step - 1)

    def evaluate(self) -> float:
        """Measure the validation loss on ``eval_sequences``. Add it to this step's checkpoint, if any.

        Raises:
            StopRequested, Diverged: as :meth:`train` does.
        """
        loss = self.evaluator.evaluate()
        self._stop_if_diverged(loss, self.step, computed_after=self.step)
        if self.checkpoints.has(self.step):
            self.checkpoints.set_validation_loss(loss)
        return loss

    def final_evaluation(self) -> float:
        """Measure the validation loss on ``final_eval_sequences``; if 0, return that of the last evaluation."""
        if self.settings.final_eval_sequences == 0:
            return self.validation_loss
        loss = self.evaluator.evaluate_at_end(self.step)
        self._stop_if_diverged(loss, self.step, computed_after=self.step)
        return loss

    def _stop_if_diverged(self, loss: float, step: int, computed_after: int) -> None:
        """End the run if the loss is not finite; remove the checkpoint of the weights that computed it.

        Raises:
            Diverged: it is not finite.
        """
        if math.isfinite(loss):
            return
        if computed_after == self.first_step and (self.config.fork_from or self.config.init_from):
            raise Diverged.of_loaded_weights(self.config, loss)
        if self.checkpoints.has(computed_after):
            self.checkpoints.discard()
        raise Diverged.at_step(self.settings, step, loss, self.checkpoints.last_folder)

    def _is_out_of_patience(self) -> bool:
        """Whether the loss has not fallen for ``early_stopping_patience`` evaluations. Rank 0 decides."""
        patience = self.settings.early_stopping_patience
        return patience > 0 and self.fabric.broadcast(self.progress.evaluations_since_best) >= patience

    # ---------------------------------------------------------------------------------------------------- saving, stopping

    def state_dict(self) -> dict[str, Any]:
        """The state to continue from. Every process must call this; only rank 0 gets the tensors."""
        first = self.fabric.is_global_zero
        return {
            "model": state.gather_weights(self.gpt2, keep=first),
            "optimizer": state.gather_optimizer(self.gpt2, self.adamw, keep=first),
            "loop": {"step": self.step, **self.metrics.state_dict()},
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned.

        Raises:
            ConfigError: it is of another model.
        """
        state.restore(self.gpt2, self.adamw, saved["model"], saved["optimizer"])
        self.step = saved["loop"]["step"]
        self.metrics.load_state_dict(saved["loop"])

    def save_checkpoint(self) -> None:
        """Save a checkpoint of this step, if there is none."""
        if not self.checkpoints.has(self.step):
            self.checkpoints.save(self.step, self.state_dict())
            self.requests.restart_save_clock()

    def close(self) -> None:
        """Close what the training opened, however it ended."""
        self.stall_detector.close()
