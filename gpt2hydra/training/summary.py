"""The texts that a run prints at its start and its end: what comes next, the result, how to continue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.config.errors import Violation
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.sizing.fit import use_this_machine
from gpt2hydra.sizing.plan import Plan
from gpt2hydra.utils.formatting import format_duration, pluralize
from gpt2hydra.utils.invocation import find_program
from gpt2hydra.utils.paths import relative_path


def text_name(config: TrainConfig) -> str:
    """The name of the text that the run is trained on."""
    return "the Python language reference" if config.data.path is None else config.data.path


def run_name(folder: Path) -> str:
    """The last two parts of a run directory: date and time, or sweep and point."""
    return "/".join(folder.absolute().parts[-2:])


def format_opening(config: TrainConfig, parameters: int, device: str, processes: int, tokens: tuple[int, int]) -> str:
    """Format the model, its device, and the numbers of training and validation ``tokens``."""
    strategy = config.training.strategy.replace("auto", "ddp")
    shared = f", {processes} processes ({strategy})" if processes > 1 else ""
    return (
        f"GPT-2, {parameters:,} parameters, {config.training.precision} on {device}{shared}\n"
        f"{text_name(config)}: {tokens[0]:,} tokens for training, {tokens[1]:,} for validation"
    )


def format_start(config: TrainConfig, step: int, folder: Path, sequences: int, uses_torch_compile: bool) -> str:
    """Format what comes after ``step`` steps: an evaluation on ``sequences`` sequences, then training."""
    settings = config.training
    if step and config.fork_from is None:
        return f"continues after step {step:,} of {settings.max_steps:,}, in {relative_path(folder)}\n"
    slow = "; the first steps are slow: torch.compile" if uses_torch_compile else ""
    fork = f"a fork of {config.fork_from} after step {step:,}: " if step else ""
    return (
        f"{fork}first an evaluation on {sequences:,} sequences of {settings.seq_len:,} tokens, "
        f"then {settings.max_steps - step:,} steps of {settings.tokens_per_step:,} tokens{slow}\n"
    )


LONG_RUN_SECONDS = 3600.0
"""A run that is expected to take longer is announced before its first step."""

MIN_FLOPS_FOR_ESTIMATE = 1e14
"""FLOPs of all steps. Fewer take less than an hour on any processor, so their time is not estimated."""


def estimate_step_seconds(config: TrainConfig) -> float | None:
    """Return the planned seconds of a step; None for a short run, or if the device's speed is unknown."""
    plan = Plan(use_this_machine(config))
    if plan.flops < MIN_FLOPS_FOR_ESTIMATE or plan.seconds is None:
        return None
    return plan.seconds / config.training.max_steps


def format_long_run_note(config: TrainConfig, seconds: float, device: str) -> str:
    """Format the note before a long run; for a preset model on a CPU, with the command of a small run."""
    line = f"note: by estimate, training takes {format_duration(seconds)} on this device"
    if device == "cpu" and config.model in GPT2Config.presets().values():  # which are meant for a GPU
        line += f"; a small run takes minutes: {find_program('train').command()} experiment=quickstart"
    return f"{line}\n"


@dataclass(frozen=True)
class ValidationLosses:
    """The validation losses of a run, in nats per token."""

    initial: float | None
    """Before the first step; None if loss.csv was lost."""
    last: float
    """After the last step, on the same tokens."""
    sequences: int
    """The number of sequences of these two evaluations."""
    final: float
    final_sequences: int | None
    """The number of sequences of ``final``; None for the complete text, 0 if it was not measured."""

    @property
    def has_fallen(self) -> bool:
        """Whether training lowered the loss; True if the loss before training is unknown."""
        return self.initial is None or self.last < self.initial

    def __str__(self) -> str:
        initial = "" if self.initial is None else f"{self.initial:.3f} before → "
        same = f"{initial}{self.last:.3f} after, on the same {pluralize(self.sequences, 'sequence')} (nats per token)"
        if self.final_sequences == 0:
            return same
        if self.final_sequences is None:
            return f"{same}\n                   {self.final:.3f} on the complete validation text"
        return f"{same}\n                   {self.final:.3f} on {self.final_sequences:,} sequences of the validation text"


def format_end(
    config: TrainConfig,
    folder: Path,
    steps: int,
    took: str,
    losses: ValidationLosses,
    best: run_checkpoints.CheckpointInfo,
    usage: str,
    skipped: int = 0,
) -> str:
    """Format the end of a run: its result, and where its files are.

    Args:
        steps: the number of steps done, which an early stop makes fewer than ``max_steps``.
        skipped: the number of these that ``skip_spike_norm`` skipped.
    """
    settings, run_dir = config.training, relative_path(folder)
    early = steps < settings.max_steps
    ended = f"Stopped early, after step {steps:,} of {settings.max_steps:,}: the validation loss has not fallen in "
    ended += f"{pluralize(settings.early_stopping_patience, 'evaluation')}.\n"
    which = "" if best.step == steps else f"; the best is that of {best}"
    longer = "training.early_stopping_patience=0" if early else f"training.max_steps={2 * steps}"
    return (
        f"\n{ended if early else ''}Trained {steps:,} steps on {steps * settings.tokens_per_step:,} tokens in {took}.\n\n"
        f"  validation loss  {losses}\n"
        + (f"  skipped steps    {skipped:,}, gradient norm above {settings.skip_spike_norm:g}\n" if skipped else "")
        + f"  speed            {usage}\n"
        f"  checkpoints      {run_dir}/{run_checkpoints.CHECKPOINTS_DIR}{which}\n"
        f"  losses           {run_dir}/loss.png, {run_dir}/loss.csv\n"
        f"  sample from it   {sampling_command(folder)}\n"
        f"  train it longer  {resuming_command(folder, longer)}"
    )


def format_interruption(config: TrainConfig, step: int, took: str, saved: str, folder: Path, why: str = "") -> str:
    """Format the last lines of a run that was stopped before its last step."""
    again = resuming_command(folder)
    return (
        f"Stopped after step {step:,} of {config.training.max_steps:,}, {took} after the start{why}; {saved}.\n"
        f"  continue: {again}"
    )


# ------------------------------------------------------------------------------------------------------------- commands


def sampling_command(output_dir: Path) -> str:
    """The command, in the current directory, that samples from a run."""
    return f'{find_program("generate").command()} {_override("checkpoint", relative_path(output_dir))} prompt="The "'


def resuming_command(output_dir: Path, *overrides: str) -> str:
    """The command, in the current directory, that resumes a run in the same number of processes."""
    return " ".join([find_program("train").current_command(), _override("resume", relative_path(output_dir)), *overrides])


def _override(key: str, value: str) -> str:
    return Violation(key, remedy={key: value}).suggestion
