"""How a run ends: with a result, or with a word on why it stopped and what there is of it. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import TrainingConfig


@dataclass(frozen=True)
class Result:
    """What a run leaves. Losses are in nats per token."""

    untrained_loss: float | None
    """On ``training.eval_sequences`` of the validation text; None if loss.csv was lost."""
    validation_loss: float
    """On the validation text: all of it, unless it is longer than all that the run trained on, and than a million tokens."""
    checkpoint: Path
    """The last one."""
    sample: str


class Stopped(ConfigError):
    """The run could not go on. The violation says why, and what there is of it."""

    WHAT = "was stopped"

    def __str__(self) -> str:
        return f"Training {self.WHAT}.\n\n{self.violations[0]}"


class Diverged(Stopped):
    """The loss became infinite or NaN: the settings do not train this model."""

    WHAT = "diverged and was stopped"

    @classmethod
    def at(cls, config: TrainingConfig, step: int, loss: float, saved: str) -> Diverged:
        """The loss of a step was not finite."""
        key, rate = "training.learning_rate", config.learning_rate
        rule = f"made the loss {loss} at step {step:,} of {config.max_steps:,}; {saved}"
        return cls([Violation(key, rate, rule, remedy={key: float(f"{rate / 3:.1g}")})])
