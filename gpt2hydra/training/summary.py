"""What a run says at its start and its end: what is about to happen; how far, how long, how to go on. Standard library only."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.config.errors import Violation
from gpt2hydra.config.run import TrainConfig
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
    """What is about to happen after ``step`` steps; at first an evaluation on so many sequences."""
    settings = config.training
    if step:
        return f"goes on after step {step:,} of {settings.max_steps:,}, from {relative_path(folder)}\n"
    slow = "; torch.compile makes the first passes slow" if compiles else ""
    return (
        f"first the untrained model on {sequences:,} sequences of {settings.seq_len:,} tokens, "
        f"then {settings.max_steps:,} steps of {settings.tokens_per_step:,} tokens{slow}\n"
    )


def summary(
    config: TrainConfig,
    folder: Path,
    took: str,
    losses: tuple[float | None, float],
    sequences: int | None,
    best: run_checkpoints.CheckpointInfo,
    usage: str,
) -> str:
    """The end of a run: ``losses`` before and after training, and where everything is.

    Args:
        sequences: so many of the validation text were measured at the end; None for all of it.
    """
    settings, here = config.training, relative_path(folder)
    untrained, final = losses
    before = f"{untrained:.3f} untrained → " if untrained is not None else ""
    measured = "the whole validation text" if sequences is None else f"{sequences:,} sequences of the validation text"
    which = "" if best.step == settings.max_steps else f"; the best is that of {best}"
    return (
        f"\nTrained {settings.max_steps:,} steps on {settings.max_steps * settings.tokens_per_step:,} tokens in {took}.\n\n"
        f"  validation loss  {before}{final:.3f} trained (nats per token, on {measured})\n"
        f"  speed            {usage}\n"
        f"  checkpoints      {here}/{run_checkpoints.FOLDER}{which}\n"
        f"  losses           {here}/loss.png, loss.csv beside it\n"
        f"  sample from it   {sampling_command(folder)}\n"
        f"  train it longer  {resuming_command(folder, f'training.max_steps={2 * settings.max_steps}')}"
    )


def interrupted_summary(config: TrainConfig, step: int, took: str, saved: str, folder: Path) -> str:
    """The last line of a run that was told to stop."""
    again = resuming_command(folder)
    return f"Stopped after step {step:,} of {config.training.max_steps:,}, {took} after the start; {saved}.\n  go on: {again}"


# --------------------------------------------------------------------------------------------------------- what to type


def sampling_command(output_dir: Path) -> str:
    """What to type, in this directory, to sample from a run."""
    return f'{_program("generate")} {_override("checkpoint", relative_path(output_dir))} prompt="The "'


def resuming_command(output_dir: Path, *overrides: str) -> str:
    """What to type, in this directory, for a run to go on."""
    return " ".join([_program("train"), _override("resume", relative_path(output_dir)), *overrides])


def _override(key: str, value: str) -> str:
    return Violation(key, remedy={key: value}).suggestion


def _program(name: str) -> str:
    """``train.py`` as it was started, or ``generate.py`` beside it, or else the command that is installed with this package."""
    script = Path(sys.argv[0]).with_name(f"{name}.py")
    if Path(sys.argv[0]).name != "train.py" or not script.is_file():
        return f"gpt2hydra-{name}"
    return f"{shlex.quote(Path(sys.executable).name)} {shlex.quote(relative_path(script))}"
