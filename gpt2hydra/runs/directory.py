"""The directory of a run: whether it can be written, and how it is taken back. Standard library only."""

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
from gpt2hydra.runs.lock import holder
from gpt2hydra.sizing.counts import checkpoint_bytes
from gpt2hydra.utils.formatting import gigabytes, reason_of
from gpt2hydra.utils.paths import nearest_existing, relative_path
from gpt2hydra.utils.quoting import RawOverride


def new_directory() -> Path:
    """``outputs/<date>/<time>``, as Hydra names it."""
    return Path("outputs") / datetime.now().strftime("%Y-%m-%d/%H-%M-%S")


def check_directory(directory: Path, key: str, *, written: str = "", files: Sequence[str] = ()) -> None:
    """Refuse an output directory that cannot be written or holds a run.

    Args:
        directory: where the run would write.
        key: what gave it: ``hydra.run.dir``.
        written: how it stands there, where that may have a ``${...}``; by default ``directory`` itself.
        files: what will be written there next to the run's own files, by relative path:
            ``.hydra/config.yaml``.

    Raises:
        ConfigError: it cannot be written, another run writes there, or it holds the checkpoints of an earlier
            one.
    """
    reason = why_unwritable(directory, files)
    if reason:
        raise ConfigError([unwritable(directory, reason, key)])
    another, process = {key: RawOverride(f"{written}-2") if written else f"{relative_path(directory)}-2"}, holder(directory)
    if process is not None:
        rule = f"is in use: another run writes there ({process}); choose another"
        raise ConfigError([Violation(key, relative_path(directory), rule, remedy=another)])
    if has_checkpoints(directory):
        rule = "holds the checkpoints of an earlier run, which resume= would continue; choose another"
        raise ConfigError([Violation(key, relative_path(directory), rule, remedy=another)])


def why_unwritable(directory: Path, files: Iterable[str] = ()) -> str:
    """Why a run cannot write into ``directory``, or one of ``files`` there; empty where it can."""
    try:
        existing = nearest_existing(directory)
        if not existing.is_dir():
            return f"{existing} is a file"
        dangling = next((each for each in (directory, *directory.parents) if each.is_symlink() and not each.exists()), None)
        if dangling is not None:
            return f"{dangling} is a link to nothing"
        with tempfile.TemporaryDirectory(prefix=".gpt2hydra-", dir=existing) as trial:
            Path(trial, "trial").write_bytes(bytes(_TRIAL))
            for part in directory.absolute().relative_to(existing).parts:
                trial = os.path.join(trial, part)
                os.mkdir(trial)
    except OSError as error:  # no permission, a full disk, a name that is too long
        return reason_of(error)
    return next(filter(None, (_in_the_way(directory, each) for each in files)), "")


_TRIAL = 65536
"""Bytes that are written on trial: more than Hydra's files and the first lines of a log."""


def _in_the_way(directory: Path, file: str) -> str:
    """What keeps a file from being written into ``directory``."""
    path = directory / file
    for folder in list(path.relative_to(directory).parents)[-2::-1]:
        if (directory / folder).is_symlink() and not (directory / folder).exists():
            return f"{directory / folder} is a link to nothing"
        if (directory / folder).exists() and not (directory / folder).is_dir():
            return f"{directory / folder} is a file"
    return f"{path} is a folder" if path.is_dir() else ""


def has_checkpoints(directory: Path) -> bool:
    """Whether a run left checkpoints there, complete or damaged."""
    return any((directory / run_checkpoints.FOLDER).glob("step-*"))


def unwritable(directory: Path, reason: object, key: str) -> Violation:
    """The violation of an output directory. Its remedy is one that can be written, if there is one."""
    rule = f"must be a folder that can be written ({reason})"
    names = ("outputs/mine", "runs/mine") if key.endswith("dir") else ("mine",)
    free = next((name for name in names if not Path(name).exists() and not why_unwritable(Path(name).absolute())), None)
    return Violation(key, relative_path(directory), rule, remedy={} if free is None else {key: free})


def remove_new(directory: Path, existing: Path) -> None:
    """Remove a run directory that was made just now, and those above that were not ``existing`` before."""
    directory = directory.absolute()
    if directory == existing:
        return
    shutil.rmtree(directory, ignore_errors=True)
    for parent in directory.parents:
        if parent == existing:
            return
        with contextlib.suppress(OSError):  # what is not empty stays
            parent.rmdir()


def check_space(config: TrainConfig, directory: Path, key: str) -> None:
    """Refuse an output directory without space for the checkpoints that the run will have there at once."""
    parent = None if config.fork_from is None else fork_from.parent(config.fork_from)
    first_step, present = parent.step if parent else 0, len(run_checkpoints.checkpoints(directory))
    count = max(1, checkpoints_at_once(config.training, first_step) - present)
    needed = count * checkpoint_bytes(config.model, config.training.weights_dtype, optimizer=True)
    try:
        free = shutil.disk_usage(nearest_existing(directory)).free
    except OSError:  # a file system that does not tell
        return
    if free < needed:
        what = "a checkpoint takes" if count == 1 else f"{count:,} checkpoints take"
        rule = f"has {gigabytes(free)} free; {what} {gigabytes(needed)} with the optimizer's state"
        remedy = _fewer_checkpoints(config, free // (needed // count) + present, first_step)
        raise ConfigError([Violation(key, relative_path(directory), rule, remedy=remedy)])


def checkpoints_at_once(settings: TrainingConfig, first_step: int = 0) -> int:
    """Those of a run in its directory at most, of the steps after ``first_step``.

    They are the last ``keep_checkpoints``, the best, the one that is being written, and the milestones of
    ``keep_every``; a short run saves fewer in all, unless ``save_minutes`` asks for any number.
    """
    there = settings.keep_checkpoints + 2 + _multiples(settings.keep_every, first_step, settings.max_steps)
    return there if settings.save_minutes else min(there, _saved(settings, first_step))


def _saved(settings: TrainingConfig, first_step: int) -> int:
    """Steps whose checkpoint is saved: see :meth:`TrainingConfig.saves_at`."""
    interval, every, last = settings.save_interval or settings.eval_interval, settings.keep_every, settings.max_steps
    multiples = sum(_multiples(each, first_step, last) for each in (interval, every))
    both = _multiples(math.lcm(interval, every), first_step, last)
    is_multiple = last % interval == 0 or (every > 0 and last % every == 0)
    return multiples - both + (not is_multiple)


def _multiples(of: int, above: int, up_to: int) -> int:
    """How many multiples of a number are in a range; none of 0."""
    return max(0, up_to // of - above // of) if of else 0


def _fewer_checkpoints(config: TrainConfig, count: int, first_step: int) -> dict[str, object]:
    """The remedy where no more than ``count`` checkpoints fit."""
    settings = config.training
    milestones = _multiples(settings.keep_every, first_step, settings.max_steps)
    keep = count - 2 - milestones
    if 1 <= keep < settings.keep_checkpoints:
        return {"training.keep_checkpoints": keep}
    without = replace(settings, keep_every=0)
    return {"training.keep_every": 0} if milestones and checkpoints_at_once(without, first_step) <= count else {}
