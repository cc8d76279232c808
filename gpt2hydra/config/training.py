"""TrainingConfig: how a model is trained, and the learning rate of each step. Standard library only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional

from gpt2hydra.config.fields import choice, flag, integer, number
from gpt2hydra.config.validation import Checked
from gpt2hydra.config.validators import Failure, validator

MAX_BATCH_SIZE = 1_000_000
"""Sequences of one batch. A larger number is taken for a typing error."""

MAX_STEPS = 1_000_000_000

PRECISIONS = ("fp32", "bf16", "bf16_pure")
PRECISION_SYNONYMS = {
    **dict.fromkeys(("float32", "f32", "32", "32-true", "full"), "fp32"),
    **dict.fromkeys(("bfloat16", "float16", "fp16", "f16", "16", "half", "mixed", "16-mixed", "bf16-mixed"), "bf16"),
    "bf16-true": "bf16_pure",
}
"""Names in PyTorch and Lightning, and 16-bit types that this package does not have → the nearest of ours."""
DEVICES = ("auto", "cpu", "cuda", "mps")
STRATEGIES = ("auto", "ddp", "fsdp")
TRACKERS = ("none", "tensorboard", "wandb", "mlflow")
SCHEDULES = ("cosine", "linear", "constant", "wsd")


@dataclass(frozen=True)
class TrainingConfig(Checked):
    """How the model is trained: AdamW, learning-rate warm-up, then a schedule."""

    seq_len: int = integer(1024, "tokens of one sequence", at_most=10_000_000)
    batch_size: int = integer(4, "sequences of one micro-batch", at_most=MAX_BATCH_SIZE)
    gradient_accumulation_steps: int = integer(1, "micro-batches, whose gradients add up to one step", at_most=1_000_000)
    max_steps: int = integer(1000, "optimizer steps", at_most=MAX_STEPS)
    learning_rate: float = number(6e-4, "peak learning rate, reached after the warm-up", above=0, at_most=10)
    min_learning_rate_ratio: float = number(
        0.1, "learning rate at the last step, as a share of the peak; constant ignores it", at_least=0, at_most=1
    )
    schedule: str = choice(
        "cosine", "how the learning rate falls from the peak; wsd: constant, then linear over decay_steps", SCHEDULES
    )
    decay_steps: Optional[int] = integer(
        None, "wsd only: steps of the linear decay at the end; null: a fifth of max_steps", at_most=MAX_STEPS, optional=True
    )
    warmup_steps: int = integer(100, "steps of the warm-up from 0 to the peak", at_least=0, at_most=MAX_STEPS)
    weight_decay: float = number(0.1, "decoupled weight decay, on matrices only", at_least=0, at_most=10)
    adam_beta1: float = number(0.9, "decay of the gradient's running mean", at_least=0, at_most=0.999999)
    adam_beta2: float = number(0.95, "decay of the squared gradient's running mean", at_least=0, at_most=0.999999)
    adam_epsilon: float = number(1e-8, "added to AdamW's denominator", above=0, at_most=1)
    max_grad_norm: float = number(1.0, "larger gradients are scaled down to this norm; 0 is off", at_least=0, at_most=1e6)
    skip_spike_norm: float = number(
        0.0, "skip a step whose gradient norm is larger than this, or NaN; 0 is off", at_least=0, at_most=1e9
    )
    precision: str = choice(
        "fp32",
        "bf16: autocast, weights stay fp32; bf16_pure: weights and AdamW too",
        PRECISIONS,
        synonyms=PRECISION_SYNONYMS,
    )
    attention: str = choice("sdpa", "sdpa: PyTorch's fused kernels; eager: plain matrix products", ("sdpa", "eager"))
    gradient_checkpointing: bool = flag(
        False, "recompute each block in the backward pass: less memory, more time", affects_result=False
    )
    eval_interval: int = integer(100, "steps between two evaluations", at_most=MAX_STEPS, affects_result=False)
    eval_sequences: int = integer(
        100, "sequences of one evaluation, the same each time, spread over the validation text", at_most=10**9
    )
    final_eval_sequences: Optional[int] = integer(
        None,
        "sequences of the last evaluation; null: as many as the run trained on, at most the complete text; 0 is none",
        at_least=0,
        at_most=10**9,
        optional=True,
        affects_result=False,
    )
    early_stopping_patience: int = integer(
        0, "end the run after this many evaluations without a lower validation loss; 0 is off", at_least=0, at_most=10**6
    )
    log_interval: int = integer(10, "steps between two rows of the loss table", at_most=MAX_STEPS, affects_result=False)
    save_interval: Optional[int] = integer(
        None,
        "steps between two checkpoints; null: one at each evaluation",
        at_most=MAX_STEPS,
        optional=True,
        affects_result=False,
    )
    save_minutes: float = number(
        0.0, "save another checkpoint after this many minutes; 0 is off", at_least=0, at_most=1e6, affects_result=False
    )
    keep_checkpoints: int = integer(
        2, "number of latest checkpoints to keep, in addition to the best", at_most=10**6, affects_result=False
    )
    keep_every: int = integer(
        0,
        "keep each checkpoint whose step is a multiple of this; 0 is none",
        at_least=0,
        at_most=MAX_STEPS,
        affects_result=False,
    )
    max_hours: float = number(
        0.0,
        "save and end the run after this many hours, to be resumed; 0 is no limit",
        at_least=0,
        at_most=1e6,
        affects_result=False,
    )
    sample_tokens: int = integer(
        200, "tokens of the sample printed at the end", at_least=0, at_most=100_000, affects_result=False
    )
    sample_interval: int = integer(
        0,
        "steps between two samples during training, printed at evaluations; 0 is none",
        at_least=0,
        at_most=10**9,
        affects_result=False,
    )
    tracker: str = choice(
        "none", "experiment tracker that also receives losses, samples and configuration", TRACKERS, affects_result=False
    )
    seed: int = integer(1337, "seed of weights, batches and dropout", at_least=0, at_most=2**32 - 1)
    device: str = choice(
        "auto", "auto: an accelerator if there is one", DEVICES, synonyms={"gpu": "cuda"}, affects_result=False
    )
    strategy: str = choice(
        "auto",
        "how several processes share the model. ddp (auto): each has all weights; fsdp: each has a shard",
        STRATEGIES,
        affects_result=False,
    )
    stall_timeout: float = number(
        600.0,
        "seconds to wait for a process that hangs before the run fails",
        above=0,
        at_most=1e6,
        affects_result=False,
    )
    compile: str = choice("auto", "torch.compile; auto: only on a GPU", ("auto", "true", "false"), affects_result=False)

    @validator("warmup_steps")
    def _warmup_ends(self) -> Failure | None:
        if self.warmup_steps <= self.max_steps:
            return None
        return Failure("must be ≤ {max_steps}", {"warmup_steps": self.max_steps // 10})

    @validator("decay_steps")
    def _decay_fits(self) -> Failure | None:
        if self.decay_steps is None:
            return None
        if self.schedule != "wsd":
            return Failure("must be null with {schedule}: only wsd reads it")
        left = self.max_steps - self.warmup_steps
        if self.decay_steps <= left:
            return None
        return Failure("must be ≤ {max_steps} minus {warmup_steps}", {"decay_steps": left} if left > 0 else {})

    @validator("early_stopping_patience")
    def _patience_can_end(self) -> Failure | None:
        """Early stopping needs more than ``early_stopping_patience`` evaluations before the last step."""
        patience = self.early_stopping_patience
        if patience * self.eval_interval < self.max_steps:
            return None
        interval = (self.max_steps - 1) // patience
        rule = "must be ≤ the number of evaluations before the last step: {eval_interval}, {max_steps}"
        return Failure(rule, {"eval_interval": interval} if interval else {})

    @property
    def weights_dtype(self) -> str:
        """The type in which weights are trained and saved."""
        return "bfloat16" if self.precision == "bf16_pure" else "float32"

    @property
    def sequences_per_step(self) -> int:
        """Sequences of one optimizer step, of all processes together."""
        return self.batch_size * self.gradient_accumulation_steps

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one optimizer step, of all processes together."""
        return self.sequences_per_step * self.seq_len

    @property
    def wsd_decay_steps(self) -> int:
        """Decay steps of the schedule ``wsd``: ``decay_steps``, or a fifth of ``max_steps``."""
        return self.max_steps // 5 if self.decay_steps is None else self.decay_steps

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0: linear warm-up to the peak, then the schedule.

        The warm-up starts above 0, so that no step is wasted. The last step uses the minimum, unless the
        schedule is ``constant``, or no more than one step follows the warm-up.
        """
        peak, least = self.learning_rate, self.min_learning_rate_ratio * self.learning_rate
        if step < self.warmup_steps:
            return peak * (step + 1) / (self.warmup_steps + 1)
        if self.schedule == "constant":
            return peak
        if self.schedule == "wsd":
            left = min(1.0, (self.max_steps - 1 - step) / max(1, self.wsd_decay_steps))
        else:
            done = min(1.0, (step - self.warmup_steps) / max(1, self.max_steps - 1 - self.warmup_steps))
            left = 1 - done if self.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
        return least + max(0.0, left) * (peak - least)

    def saves_at(self, step: int) -> bool:
        """Whether a checkpoint is saved after ``step`` steps, apart from those that the clock causes."""
        interval = self.save_interval or self.eval_interval
        return step == self.max_steps or step % interval == 0 or (self.keep_every > 0 and step % self.keep_every == 0)

    def evaluates_at(self, step: int) -> bool:
        """Whether the validation loss is measured after ``step`` steps."""
        return step == self.max_steps or step % self.eval_interval == 0
