"""How a run ends: with a result, or with why it stopped and what was saved. Standard library only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import TrainConfig, TrainingConfig
from gpt2hydra.utils.paths import relative_path


@dataclass(frozen=True)
class Result:
    """The result of a run. Losses are in nats per token."""

    initial_loss: float | None
    """Before the first step, on ``training.eval_sequences``.

    None if loss.csv was lost, if ``training.max_hours`` ended the run, and on every rank except 0.
    """
    validation_loss: float
    """At the end, on ``training.final_eval_sequences``.

    That of the last evaluation if ``final_eval_sequences`` is 0 or ``training.max_hours`` ended the run.
    """
    checkpoint: Path
    """The folder of the last checkpoint."""
    sample: str = ""
    finished: bool = True
    """False if ``training.max_hours`` ended it."""


class Stopped(ConfigError):
    """The run could not continue. The violation names the reason, and what was saved."""

    ENDING = "was stopped"

    def __str__(self) -> str:
        return f"Training {self.ENDING}.\n\n{self.violations[0]}"


class Diverged(Stopped):
    """The loss became infinite or NaN."""

    ENDING = "diverged and was stopped"

    @classmethod
    def at_step(cls, config: TrainingConfig, step: int, loss: float, checkpoint: Path | None) -> Diverged:
        """The error of a step with such a loss. Its remedy: fork the last checkpoint with a lower rate."""
        key, rate = "training.learning_rate", config.learning_rate
        rule = f"made the loss {_loss_name(loss)} at step {step:,} of {config.max_steps:,}; {describe_checkpoint(checkpoint)}"
        fork: dict[str, object] = {} if checkpoint is None else {"fork_from": relative_path(checkpoint)}
        return cls([Violation(key, rate, rule, remedy=fork | {key: float(f"{rate / 3:.1g}")})])

    @classmethod
    def of_loaded_weights(cls, config: TrainConfig, loss: float) -> Diverged:
        """The error of given weights whose loss is not finite before the first step."""
        key, folder = ("fork_from", config.fork_from) if config.fork_from else ("init_from", config.init_from)
        return cls([Violation(key, folder, f"holds weights whose loss is {_loss_name(loss)}, before the first step")])


def _loss_name(loss: float) -> str:
    return "NaN" if math.isnan(loss) else "infinite"


def describe_checkpoint(checkpoint: Path | None) -> str:
    """Describe where the last checkpoint is: ``the checkpoint of step 10 is in outputs/.../step-000010``."""
    if checkpoint is None:
        return "there is no checkpoint yet"
    return f"the checkpoint of step {int(checkpoint.name.rpartition('-')[2]):,} is in {relative_path(checkpoint)}"
