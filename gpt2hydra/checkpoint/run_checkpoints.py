"""The checkpoints of a run directory: the complete, the newest, the best. Standard library only.

::

    RUN/checkpoints/step-000500/          a Hugging Face folder, and with it:
                                gpt2hydra.json   step, validation loss, configuration and fingerprints of the run
                                manifest.json    size and SHA-256 of every other file
                                resume/          the optimizer's state, which only a run that continues opens
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

FOLDER = "checkpoints"
RUN = "gpt2hydra.json"
RESUME = "resume"

LARGEST_RUN = 10_000_000
"""Bytes of ``gpt2hydra.json``."""


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint of a run: where it is, and what it says of itself."""

    folder: Path
    step: int
    validation_loss: float | None
    """Nats per token; None where it was not measured."""

    def __str__(self) -> str:
        loss = "" if self.validation_loss is None else f", validation loss {self.validation_loss:.4f}"
        return f"step {self.step:,}{loss}"


def place(run: Path, step: int) -> Path:
    """The folder of the checkpoint of a step."""
    return run / FOLDER / f"step-{step:06d}"


# -------------------------------------------------------------------------------------------------------------- reading


def checkpoints(run: Path) -> list[CheckpointInfo]:
    """The complete checkpoints of a run, the oldest first. Sizes are checked, contents are not."""
    found = [read(folder) for folder in _folders(run) if atomic_directory.is_complete(folder)]
    return sorted((kept for kept in found if kept), key=lambda kept: kept.step)


def newest(run: Path) -> CheckpointInfo | None:
    """The complete checkpoint of the latest step."""
    kept = checkpoints(run)
    return kept[-1] if kept else None


def best(run: Path) -> CheckpointInfo | None:
    """The complete checkpoint of the lowest validation loss, or the newest where none was measured."""
    newest_first = checkpoints(run)[::-1]
    return min(newest_first, key=lambda each: math.inf if each.validation_loss is None else each.validation_loss, default=None)


def undamaged(run: Path) -> tuple[CheckpointInfo | None, list[str]]:
    """The newest checkpoint whose bytes are as they were written, and what is wrong with those after it."""
    problems: list[str] = []
    for folder in sorted(_folders(run), key=lambda folder: int(folder.name.rpartition("-")[2]), reverse=True):
        wrong = atomic_directory.damage(folder)
        kept = read(folder) if wrong is None else None
        if kept:
            return kept, problems
        problems.append(f"{folder} {wrong or f'has a {RUN} that cannot be read'}")
    return None, problems


def read(folder: Path) -> CheckpointInfo | None:
    """What ``gpt2hydra.json`` says of a checkpoint; None where it is absent or cannot be used."""
    try:
        run = read_json(folder / RUN, LARGEST_RUN)
    except ConfigError:
        return None
    step, loss = run.get("step"), run.get("validation_loss")
    if type(step) is not int or step < 0:
        return None
    return CheckpointInfo(folder, step, float(loss) if isinstance(loss, (int, float)) and not isinstance(loss, bool) else None)


def _folders(run: Path) -> Iterator[Path]:
    for folder in (run / FOLDER).glob("step-*"):
        if re.fullmatch(r"step-\d{6,}", folder.name) and folder.is_dir():
            yield folder


# -------------------------------------------------------------------------------------------------------------- keeping


def recover_interrupted(run: Path) -> None:
    """Finish or remove what saves left that were killed; nothing complete is removed."""
    atomic_directory.recover_interrupted(run / FOLDER, "step-*")


def prune(run: Path, keep: int, keep_every: int = 0) -> None:
    """Remove complete checkpoints, except the last ``keep``, the best, and multiples of ``keep_every``."""
    found, favourite = checkpoints(run), best(run)
    for each in found[:-keep]:
        if each != favourite and not (keep_every and each.step % keep_every == 0):
            atomic_directory.remove(each.folder)


def add_validation_loss(checkpoint: CheckpointInfo, loss: float) -> None:
    """Write the validation loss of a checkpoint, which was saved before it was measured, into it."""
    content = read_json(checkpoint.folder / RUN, LARGEST_RUN)
    atomic_directory.rewrite_json(checkpoint.folder, RUN, content | {"validation_loss": loss})
