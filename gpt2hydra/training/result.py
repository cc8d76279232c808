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
    """What a run leaves. Losses are in nats per token."""

    initial_loss: float | None
    """Before the first step, on ``training.eval_sequences``; None if loss.csv was lost."""
    validation_loss: float
    """At the end, on ``training.final_eval_sequences``; NaN if ``training.max_hours`` came first."""
    checkpoint: Path
    """The last one."""
    sample: str = ""
    finished: bool = True
    """False where ``training.max_hours`` ended it."""


class Stopped(ConfigError):
    """The run could not continue. The violation names the reason, and what was saved."""

    WHAT = "was stopped"

    def __str__(self) -> str:
        return f"Training {self.WHAT}.\n\n{self.violations[0]}"


class Diverged(Stopped):
    """The loss became infinite or NaN: the settings do not train this model."""

    WHAT = "diverged and was stopped"

    @classmethod
    def at(cls, config: TrainingConfig, step: int, loss: float, checkpoint: Path | None) -> Diverged:
        """The loss of a step was not finite; a fork of the last checkpoint with a lower rate may help."""
        key, rate = "training.learning_rate", config.learning_rate
        rule = f"made the loss {_in_words(loss)} at step {step:,} of {config.max_steps:,}; {saved_in_words(checkpoint)}"
        fork: dict[str, object] = {} if checkpoint is None else {"fork_from": relative_path(checkpoint)}
        return cls([Violation(key, rate, rule, remedy=fork | {key: float(f"{rate / 3:.1g}")})])

    @classmethod
    def loaded(cls, config: TrainConfig, loss: float) -> Diverged:
        """The loss before the first step, of the weights that were given, was not finite."""
        key, folder = ("fork_from", config.fork_from) if config.fork_from else ("init_from", config.init_from)
        return cls([Violation(key, folder, f"holds weights whose loss is {_in_words(loss)}, before the first step")])


def _in_words(loss: float) -> str:
    return "NaN" if math.isnan(loss) else "infinite"


def saved_in_words(checkpoint: Path | None) -> str:
    """Where the last checkpoint is: ``the checkpoint of step 10 is in outputs/.../step-000010``."""
    if checkpoint is None:
        return "there is no checkpoint yet"
    return f"the checkpoint of step {int(checkpoint.name.rpartition('-')[2]):,} is in {relative_path(checkpoint)}"
