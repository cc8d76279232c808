"""The checkpoints of a run directory: the complete ones, the newest, the best. Standard library only.

::

    RUN/checkpoints/step-000500/          a Hugging Face folder, and with it:
                                gpt2hydra.json   step, validation loss, configuration and fingerprints of the run
                                manifest.json    size and SHA-256 of every other file
                                resume/          the optimizer's state, which only a run that continues reads
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gpt2hydra.checkpoint import atomic_directory
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.strict_json import read_json

CHECKPOINTS_DIR = "checkpoints"
RUN_JSON = "gpt2hydra.json"
RESUME_DIR = "resume"

MAX_RUN_JSON_BYTES = 10_000_000
"""Bytes of ``gpt2hydra.json``."""


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint of a run: its folder, and the facts in its ``gpt2hydra.json``."""

    folder: Path
    step: int
    validation_loss: float | None
    """Nats per token; None if it was not measured."""

    def __str__(self) -> str:
        loss = "" if self.validation_loss is None else f", validation loss {self.validation_loss:.4f}"
        return f"step {self.step:,}{loss}"


def checkpoint_dir(run: Path, step: int) -> Path:
    """The folder of the checkpoint of a step."""
    return run / CHECKPOINTS_DIR / f"step-{step:06d}"


# -------------------------------------------------------------------------------------------------------------- reading


def list_complete(run: Path) -> list[CheckpointInfo]:
    """The complete checkpoints of a run, the oldest first. File sizes are checked, contents are not."""
    found = [read_info(folder) for folder in _folders(run) if atomic_directory.is_complete(folder)]
    return sorted((kept for kept in found if kept), key=lambda kept: kept.step)


def find_newest(run: Path) -> CheckpointInfo | None:
    """The complete checkpoint of the latest step; None if there is none."""
    kept = list_complete(run)
    return kept[-1] if kept else None


def find_best(run: Path) -> CheckpointInfo | None:
    """The complete checkpoint of the lowest loss (the later, if equal); the newest if none has a loss."""
    newest_first = list_complete(run)[::-1]
    return min(newest_first, key=lambda each: math.inf if each.validation_loss is None else each.validation_loss, default=None)


def find_newest_intact(run: Path) -> tuple[CheckpointInfo | None, list[str]]:
    """The newest checkpoint without damage, and the damage of later ones as text. Reads all their files."""
    problems: list[str] = []
    for folder in sorted(_folders(run), key=lambda folder: int(folder.name.rpartition("-")[2]), reverse=True):
        wrong = atomic_directory.find_damage(folder)
        kept = read_info(folder) if wrong is None else None
        if kept:
            return kept, problems
        problems.append(f"{folder} {wrong or f'has a {RUN_JSON} that cannot be read'}")
    return None, problems


def read_info(folder: Path) -> CheckpointInfo | None:
    """The facts in the ``gpt2hydra.json`` of a checkpoint; None if it is missing or cannot be used."""
    try:
        run = read_json(folder / RUN_JSON, MAX_RUN_JSON_BYTES)
    except ConfigError:
        return None
    step, loss = run.get("step"), run.get("validation_loss")
    if type(step) is not int or step < 0:
        return None
    return CheckpointInfo(folder, step, float(loss) if isinstance(loss, (int, float)) and not isinstance(loss, bool) else None)


def _folders(run: Path) -> Iterator[Path]:
    for folder in (run / CHECKPOINTS_DIR).glob("step-*"):
        if re.fullmatch(r"step-\d{6,}", folder.name) and folder.is_dir():
            yield folder


# -------------------------------------------------------------------------------------------------------------- keeping


def recover_interrupted(run: Path) -> None:
    """Complete or remove what killed saves left; nothing complete is removed."""
    atomic_directory.recover_interrupted(run / CHECKPOINTS_DIR, "step-*")


def prune(run: Path, keep: int, keep_every: int = 0) -> None:
    """Remove complete checkpoints, except the last ``keep``, the best, and multiples of ``keep_every``."""
    found, favourite = list_complete(run), find_best(run)
    for each in found[:-keep]:
        if each != favourite and not (keep_every and each.step % keep_every == 0):
            atomic_directory.remove_directory(each.folder)


def add_validation_loss(checkpoint: CheckpointInfo, loss: float) -> None:
    """Write the validation loss into a checkpoint that was saved before it was measured."""
    content = read_json(checkpoint.folder / RUN_JSON, MAX_RUN_JSON_BYTES)
    atomic_directory.rewrite_json(checkpoint.folder, RUN_JSON, content | {"validation_loss": loss})
