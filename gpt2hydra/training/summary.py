"""What a run prints at its start and its end: what is about to happen, the result, how to continue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.config.errors import Violation
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.sizing.fit import on_this_machine
from gpt2hydra.sizing.plan import Plan
from gpt2hydra.utils.formatting import counted, duration
from gpt2hydra.utils.invocation import our_program
from gpt2hydra.utils.paths import relative_path


def text_name(config: TrainConfig) -> str:
    """What the run is trained on, in words."""
    return "the Python language reference" if config.data.path is None else config.data.path


def run_name(folder: Path) -> str:
    """The last two parts of a run directory: date and time, or sweep and point."""
    return "/".join(folder.absolute().parts[-2:])


def opening(config: TrainConfig, parameters: int, device: str, processes: int, tokens: tuple[int, int]) -> str:
    """The model, and its training and validation ``tokens``."""
    strategy = config.training.strategy.replace("auto", "ddp")
    shared = f", {processes} processes ({strategy})" if processes > 1 else ""
    return (
        f"GPT-2, {parameters:,} parameters, {config.training.precision} on {device}{shared}\n"
        f"{text_name(config)}: {tokens[0]:,} tokens for training, {tokens[1]:,} for validation"
    )


def start_banner(config: TrainConfig, step: int, folder: Path, sequences: int, compiles: bool) -> str:
    """What comes next after ``step`` steps: an evaluation on ``sequences``, then training."""
    settings = config.training
    if step and config.fork_from is None:
        return f"continues after step {step:,} of {settings.max_steps:,}, in {relative_path(folder)}\n"
    slow = "; the first steps are slow: torch.compile" if compiles else ""
    fork = f"a fork of {config.fork_from} after step {step:,}: " if step else ""
    return (
        f"{fork}first an evaluation on {sequences:,} sequences of {settings.seq_len:,} tokens, "
        f"then {settings.max_steps - step:,} steps of {settings.tokens_per_step:,} tokens{slow}\n"
    )


LONG_RUN = 3600.0
"""Seconds. What is expected to take longer is announced before the first step."""

WORTH_MEASURING = 1e14
"""FLOPs of all steps. Fewer take less than an hour on any processor."""


def expected_step_seconds(config: TrainConfig) -> float | None:
    """Of a step on this machine, by the plan; None for a short run or a device of unknown speed."""
    plan = Plan(on_this_machine(config))
    if plan.flops < WORTH_MEASURING or plan.seconds is None:
        return None
    return plan.seconds / config.training.max_steps


def long_run(config: TrainConfig, seconds: float, device: str) -> str:
    """The line before a run of so many ``seconds``; on a CPU with the command for a small model."""
    line = f"note: by estimate, training takes {duration(seconds)} on this device"
    if device == "cpu" and config.model in GPT2Config.presets().values():  # which are meant for a GPU
        line += f"; a small run takes minutes: {our_program('train').command()} experiment=quickstart"
    return f"{line}\n"


@dataclass(frozen=True)
class ValidationLosses:
    """The validation losses of a run, in nats per token."""

    before: float | None
    """Before its first step; None if loss.csv was lost."""
    after: float
    """After its last step, on the same tokens."""
    sequences: int
    """So many of the validation text."""
    final: float
    final_sequences: int | None
    """Of the evaluation at the end; None for the complete validation text, 0 where there was none."""

    @property
    def fell(self) -> bool:
        """Whether training helped, as far as that is known."""
        return self.before is None or self.after < self.before

    def __str__(self) -> str:
        before = "" if self.before is None else f"{self.before:.3f} before → "
        same = f"{before}{self.after:.3f} after, on the same {counted(self.sequences, 'sequence')} (nats per token)"
        if self.final_sequences == 0:
            return same
        if self.final_sequences is None:
            return f"{same}\n                   {self.final:.3f} on the complete validation text"
        return f"{same}\n                   {self.final:.3f} on {self.final_sequences:,} sequences of the validation text"


def summary(
    config: TrainConfig,
    folder: Path,
    steps: int,
    took: str,
    losses: ValidationLosses,
    best: run_checkpoints.CheckpointInfo,
    usage: str,
    skipped: int = 0,
) -> str:
    """The end of a run: what it reached, and where everything is.

    Args:
        steps: done; fewer than ``max_steps`` after an early stop.
        skipped: of these, by ``skip_spike_norm``.
    """
    settings, here = config.training, relative_path(folder)
    early = steps < settings.max_steps
    ended = f"Stopped early, after step {steps:,} of {settings.max_steps:,}: the validation loss has not fallen in "
    ended += f"{counted(settings.early_stopping_patience, 'evaluation')}.\n"
    which = "" if best.step == steps else f"; the best is that of {best}"
    longer = "training.early_stopping_patience=0" if early else f"training.max_steps={2 * steps}"
    return (
        f"\n{ended if early else ''}Trained {steps:,} steps on {steps * settings.tokens_per_step:,} tokens in {took}.\n\n"
        f"  validation loss  {losses}\n"
        + (f"  skipped steps    {skipped:,}, gradient norm above {settings.skip_spike_norm:g}\n" if skipped else "")
        + f"  speed            {usage}\n"
        f"  checkpoints      {here}/{run_checkpoints.FOLDER}{which}\n"
        f"  losses           {here}/loss.png, {here}/loss.csv\n"
        f"  sample from it   {sampling_command(folder)}\n"
        f"  train it longer  {resuming_command(folder, longer)}"
    )


def interrupted_summary(config: TrainConfig, step: int, took: str, saved: str, folder: Path, why: str = "") -> str:
    """The last line of a run that was stopped before its last step."""
    again = resuming_command(folder)
    return (
        f"Stopped after step {step:,} of {config.training.max_steps:,}, {took} after the start{why}; {saved}.\n"
        f"  continue: {again}"
    )


# --------------------------------------------------------------------------------------------------------- what to type


def sampling_command(output_dir: Path) -> str:
    """What to type, in this directory, to sample from a run."""
    return f'{our_program("generate").command()} {_override("checkpoint", relative_path(output_dir))} prompt="The "'


def resuming_command(output_dir: Path, *overrides: str) -> str:
    """What to type, in this directory, for a run to continue, in as many processes as now."""
    return " ".join([our_program("train").as_started(), _override("resume", relative_path(output_dir)), *overrides])


def _override(key: str, value: str) -> str:
    return Violation(key, remedy={key: value}).suggestion
