"""The directory of a run: checks that it can be written, and removal. Standard library only."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from gpt2hydra.checkpoint import fork_from, run_checkpoints
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import TrainConfig, TrainingConfig
from gpt2hydra.runs.lock import find_lock_holder
from gpt2hydra.sizing.counts import checkpoint_bytes
from gpt2hydra.utils.formatting import error_reason, format_bytes
from gpt2hydra.utils.paths import nearest_existing, relative_path
from gpt2hydra.utils.quoting import RawOverride


def default_run_directory() -> Path:
    """Return ``outputs/<date>/<time>``, as Hydra names a run directory. It is not created."""
    return Path("outputs") / datetime.now().strftime("%Y-%m-%d/%H-%M-%S")


def check_directory(directory: Path, key: str, *, written: str = "", files: Sequence[str] = ()) -> None:
    """Refuse an output directory that cannot be written or holds a run.

    Args:
        directory: where the run would write.
        key: the key that sets it, such as ``hydra.run.dir``.
        written: the key's value as written, possibly with ``${...}``; by default ``directory`` itself.
        files: other files that will be written there, as relative paths such as ``.hydra/config.yaml``.

    Raises:
        ConfigError: it cannot be written, a run writes there, or it holds an earlier run's checkpoints.
    """
    reason = find_write_error(directory, files)
    if reason:
        raise ConfigError([unwritable_violation(directory, reason, key)])
    another = {key: RawOverride(f"{written}-2") if written else f"{relative_path(directory)}-2"}
    process = find_lock_holder(directory)
    if process is not None:
        rule = f"is in use: another run writes there ({process}); choose another"
        raise ConfigError([Violation(key, relative_path(directory), rule, remedy=another)])
    if has_checkpoints(directory):
        rule = "holds the checkpoints of an earlier run, which resume= would continue; choose another"
        raise ConfigError([Violation(key, relative_path(directory), rule, remedy=another)])


def find_write_error(directory: Path, files: Iterable[str] = ()) -> str:
    """Return why a run cannot write into ``directory``, or write one of ``files`` there; empty if it can."""
    try:
        existing = nearest_existing(directory)
        if not existing.is_dir():
            return f"{existing} is a file"
        dangling = next((each for each in (directory, *directory.parents) if each.is_symlink() and not each.exists()), None)
        if dangling is not None:
            return f"{dangling} is a link to nothing"
        with tempfile.TemporaryDirectory(prefix=".gpt2hydra-", dir=existing) as trial:
            Path(trial, "trial").write_bytes(bytes(_TRIAL_BYTES))
            for part in directory.absolute().relative_to(existing).parts:
                trial = os.path.join(trial, part)
                os.mkdir(trial)
    except OSError as error:  # no permission, a full disk, a name that is too long
        return error_reason(error)
    return next(filter(None, (_find_obstacle(directory, each) for each in files)), "")


_TRIAL_BYTES = 65536
"""Bytes that are written to check the disk: more than Hydra's files and the first lines of a log."""


def _find_obstacle(directory: Path, file: str) -> str:
    """Return what prevents a file from being written into ``directory``; empty if nothing does."""
    path = directory / file
    for folder in list(path.relative_to(directory).parents)[-2::-1]:
        if (directory / folder).is_symlink() and not (directory / folder).exists():
            return f"{directory / folder} is a link to nothing"
        if (directory / folder).exists() and not (directory / folder).is_dir():
            return f"{directory / folder} is a file"
    return f"{path} is a folder" if path.is_dir() else ""


def has_checkpoints(directory: Path) -> bool:
    """Whether there are checkpoints of a run, complete or damaged."""
    return any((directory / run_checkpoints.CHECKPOINTS_DIR).glob("step-*"))


def unwritable_violation(directory: Path, reason: object, key: str) -> Violation:
    """Return the violation of an output directory. Its remedy is a directory that can be written, if any."""
    rule = f"must be a folder that can be written ({reason})"
    names = ("outputs/mine", "runs/mine") if key.endswith("dir") else ("mine",)
    free = next((name for name in names if not Path(name).exists() and not find_write_error(Path(name).absolute())), None)
    return Violation(key, relative_path(directory), rule, remedy={} if free is None else {key: free})


def remove_new_directory(directory: Path, existing: Path) -> None:
    """Remove a new run directory, and its empty parents below ``existing``, which existed before it."""
    directory = directory.absolute()
    if directory == existing:
        return
    shutil.rmtree(directory, ignore_errors=True)
    for parent in directory.parents:
        if parent == existing:
            return
        with contextlib.suppress(OSError):  # a folder that is not empty is kept
            parent.rmdir()


def check_space(config: TrainConfig, directory: Path, key: str) -> None:
    """Refuse an output directory without space for the most checkpoints that the run has there at a time."""
    parent = None if config.fork_from is None else fork_from.parent_checkpoint(config.fork_from)
    first_step, present = parent.step if parent else 0, len(run_checkpoints.list_complete(directory))
    count = max(1, max_checkpoints_on_disk(config.training, first_step) - present)
    needed = count * checkpoint_bytes(config.model, config.training.weights_dtype, optimizer=True)
    try:
        free = shutil.disk_usage(nearest_existing(directory)).free
    except OSError:  # a file system that does not report it
        return
    if free < needed:
        what = "a checkpoint takes" if count == 1 else f"{count:,} checkpoints take"
        rule = f"has {format_bytes(free)} free; {what} {format_bytes(needed)} with the optimizer's state"
        remedy = _suggest_fewer_checkpoints(config, free // (needed // count) + present, first_step)
        raise ConfigError([Violation(key, relative_path(directory), rule, remedy=remedy)])


def max_checkpoints_on_disk(settings: TrainingConfig, first_step: int = 0) -> int:
    """The most checkpoints that a run has in its directory at a time, of the steps after ``first_step``.

    They are the last ``keep_checkpoints``, the best, the one that is being written, and the milestones of
    ``keep_every``. A short run saves fewer, except with ``save_minutes``, which may save any number.
    """
    most = settings.keep_checkpoints + 2 + _count_multiples(settings.keep_every, first_step, settings.max_steps)
    return most if settings.save_minutes else min(most, _count_saves(settings, first_step))


def _count_saves(settings: TrainingConfig, first_step: int) -> int:
    """The number of steps whose checkpoint is saved: see :meth:`TrainingConfig.saves_at`."""
    interval, every, last = settings.save_interval or settings.eval_interval, settings.keep_every, settings.max_steps
    multiples = sum(_count_multiples(each, first_step, last) for each in (interval, every))
    both = _count_multiples(math.lcm(interval, every), first_step, last)
    is_multiple = last % interval == 0 or (every > 0 and last % every == 0)
    return multiples - both + (not is_multiple)


def _count_multiples(of: int, above: int, up_to: int) -> int:
    """The number of multiples of ``of`` that are > ``above`` and ≤ ``up_to``; 0 if ``of`` is 0."""
    return max(0, up_to // of - above // of) if of else 0


def _suggest_fewer_checkpoints(config: TrainConfig, count: int, first_step: int) -> dict[str, object]:
    """Return the remedy if only ``count`` checkpoints fit; empty if there is none."""
    settings = config.training
    milestones = _count_multiples(settings.keep_every, first_step, settings.max_steps)
    keep = count - 2 - milestones
    if 1 <= keep < settings.keep_checkpoints:
        return {"training.keep_checkpoints": keep}
    without = replace(settings, keep_every=0)
    return {"training.keep_every": 0} if milestones and max_checkpoints_on_disk(without, first_step) <= count else {}
