"""The directory of a run: whether it can be written, and how it is taken back. Standard library only."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import TrainConfig, TrainingConfig
from gpt2hydra.sizing.counts import checkpoint_bytes
from gpt2hydra.sizing.fit import gigabytes
from gpt2hydra.sizing.plan import Plan
from gpt2hydra.utils.formatting import reason_of


def new_directory() -> Path:
    """``outputs/<date>/<time>``, as Hydra names it."""
    return Path("outputs") / datetime.now().strftime("%Y-%m-%d/%H-%M-%S")


def check_directory(directory: Path, key: str, parent: Path | None = None) -> None:
    """Refuse an output directory, which ``key`` gives or its ``parent``, that cannot be written or holds a run."""
    try:
        taken = has_checkpoints(directory)
        existing = nearest_existing(directory)
    except OSError as error:  # a name that is too long
        raise ConfigError([unwritable(directory, reason_of(error), key)]) from None
    if taken:
        rule = "holds the checkpoints of an earlier run, which resume= would continue; choose another"
        raise ConfigError([Violation(key, str(directory), rule, remedy={key: f"{parent or directory}-2"})])
    if not existing.is_dir():
        raise ConfigError([unwritable(directory, f"{existing} is a file", key)])
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".gpt2hydra-", dir=existing))
    except OSError as error:
        raise ConfigError([unwritable(directory, f"in {existing}: {reason_of(error)}", key)]) from None


def has_checkpoints(directory: Path) -> bool:
    """Whether a run left checkpoints there, whole or damaged."""
    return any((directory / run_checkpoints.FOLDER).glob("step-*"))


def unwritable(directory: Path, reason: object, key: str) -> Violation:
    """The violation of an output directory."""
    rule = f"must be a folder that can be written ({reason})"
    return Violation(key, str(directory), rule, remedy={key: "outputs/mine" if key.endswith("dir") else "mine"})


def nearest_existing(directory: Path) -> Path:
    """``directory`` itself, or of the folders above it the first that is there."""
    return next(folder for folder in (directory, *directory.parents) if folder.exists())


def remove_new(directory: Path, existing: Path) -> None:
    """Remove a run directory that was made just now, and what was made for it above, up to what was ``existing`` before."""
    if directory == existing:
        return
    shutil.rmtree(directory, ignore_errors=True)
    for parent in directory.parents:
        if parent == existing:
            return
        with contextlib.suppress(OSError):  # what is not empty stays
            parent.rmdir()


def check_space(config: TrainConfig, directory: Path, key: str) -> None:
    """Refuse an output directory without room for the checkpoints that the run will have there at once."""
    count = max(1, checkpoints_at_once(config.training) - len(run_checkpoints.checkpoints(directory)))
    needed = count * checkpoint_bytes(config.model, Plan(config).checkpoint_dtype, optimizer=True)
    try:
        free = shutil.disk_usage(nearest_existing(directory.absolute())).free
    except OSError:  # a file system that does not tell
        return
    if free < needed:
        what = "a checkpoint takes" if count == 1 else f"{count:,} checkpoints take"
        rule = f"has {gigabytes(free)} free; {what} {gigabytes(needed)} with the optimizer's state"
        raise ConfigError([Violation(key, str(directory), rule, remedy=_fewer_checkpoints(config, free // (needed // count)))])


def checkpoints_at_once(settings: TrainingConfig) -> int:
    """The last ``keep_checkpoints``, the best, and the one that is being written; a short run saves fewer in all."""
    saved = -(-settings.max_steps // settings.eval_interval)
    return min(settings.keep_checkpoints + 2, saved)


def _fewer_checkpoints(config: TrainConfig, count: int) -> dict[str, object]:
    """The remedy where ``count`` checkpoints find room."""
    keep = count - 2
    return {"training.keep_checkpoints": keep} if 1 <= keep < config.training.keep_checkpoints else {}
