"""The record of a run, ``run.json``: what ran, with which configuration, who set it, how far it came.

It is complete before the first step, and at any later moment: a new one takes the old one's place. Of a run
that was killed it says 'running'; :func:`read` tells the two apart by the lock, which died with the process.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.fingerprint import fingerprints
from gpt2hydra.config.keys import leaves
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.strict_json import read_json
from gpt2hydra.data.file_digest import file_digests
from gpt2hydra.runs.lock import Locked, holder, locked
from gpt2hydra.utils.files import atomic_file
from gpt2hydra.utils.paths import relative_path
from gpt2hydra.version import __version__

T = TypeVar("T", bound=TrainConfig)

FILE = "run.json"
LARGEST = 8 * 2**20
"""Bytes of a run.json; a larger one is not read."""

RUNNING, FINISHED, INTERRUPTED, FAILED = "running", "finished", "interrupted", "failed"
STATES = (RUNNING, FINISHED, INTERRUPTED, FAILED)
"""``interrupted``, or killed: it can continue. ``failed``: by an error, which is in ``reason``."""

PACKAGES = ("torch", "transformers", "lightning-fabric", "tokenizers", "safetensors", "numpy", "hydra-core", "omegaconf")

# -------------------------------------------------------------------------------------------------------------- writing


class Recorder:
    """The record of a run that is in progress. The run keeps ``step``, the last one done, up to date."""

    def __init__(self, folder: Path, content: dict[str, Any], step: int = 0) -> None:
        self.folder, self.content, self.step = folder, content, step

    def add(self, **facts: Any) -> None:
        """Take more facts of the run, its device for one, and write them."""
        self.content |= facts
        write(self.content, self.folder)

    def finish(self, validation_loss: float, seconds: float, **more: Any) -> None:
        """The run has come to its end, with this result."""
        self.add(state=FINISHED, step=self.step, result={"validation_loss": validation_loss, "seconds": seconds, **more})


@contextmanager
def recording(
    config: TrainConfig, folder: Path, set_by: Mapping[str, Any] | None, *, resumed_from: int | None = None, **facts: Any
) -> Iterator[Recorder]:
    """Keep the record of a run, and its directory's lock, while it runs; in the first process only.

    An interruption (``KeyboardInterrupt``, ``SystemExit``) leaves the state ``interrupted``, any other error
    ``failed``.

    Args:
        set_by: each key with its settings, the one in force first; None outside of Hydra.
        resumed_from: the step of the checkpoint that the run in ``folder`` continues from; None for a new
            run.
        facts: more to record: ``processes``, ``device``.

    Raises:
        ConfigError: another process runs in ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder):
            content = (
                _new(config, set_by, facts) if resumed_from is None else _resumed(config, folder, set_by, resumed_from, facts)
            )
            recorder = Recorder(folder, content, resumed_from or 0)
            write(content, folder)
            with _state_at_the_end(recorder):
                yield recorder
    except Locked as other:
        violation = running(folder, str(other))
        raise ConfigError([violation if resumed_from is not None else replace(violation, key="output_dir")]) from None


@contextmanager
def _state_at_the_end(recorder: Recorder) -> Iterator[None]:
    state, why = FAILED, {}
    try:
        yield
        state = INTERRUPTED
    except (KeyboardInterrupt, SystemExit):
        state = INTERRUPTED
        raise
    except BaseException as error:
        why = {"reason": _reason(error)}
        raise
    finally:
        if recorder.content["state"] == RUNNING:
            with suppress(OSError):  # a full disk: the lock, which is gone, tells that it does not run
                recorder.add(state=state, step=recorder.step, **why)


def _reason(error: BaseException) -> str:
    if isinstance(error, ConfigError):
        return "; ".join(f"{each.key}: {each.rule}" for each in error.violations)
    return f"{type(error).__name__}: {error}"


def _new(config: TrainConfig, set_by: Mapping[str, Any] | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "state": RUNNING,
        **_start(facts),
        "config": _own(config),
        "set_by": set_by,
        "fingerprints": fingerprints(config),
        "data": [dataclasses.asdict(each) for each in file_digests(config)],
        "resumed": [],
    }


def _own(config: TrainConfig) -> dict[str, Any]:
    """The configuration as plain values; that a run is continued is no part of it."""
    return config.to_dict() | {"resume": None}


def _resumed(
    config: TrainConfig, folder: Path, set_by: Mapping[str, Any] | None, step: int, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """The record of before, with another entry in ``resumed``: what began, and what was set otherwise."""
    before = read(folder).content
    was, now = dict(leaves(before["config"])), dict(leaves(_own(config)))
    changed = {
        key: {"was": was.get(key), "now": value, "set_by": (set_by or {}).get(key)}
        for key, value in now.items()
        if was.get(key) != value
    }
    entry = {"step": step, **_start(facts), "changed": changed}
    kept = {key: value for key, value in before.items() if key not in ("result", "reason", "step")}
    now_set = {"state": RUNNING, "config": _own(config), "fingerprints": fingerprints(config)}
    return kept | now_set | {"resumed": [*before.get("resumed", []), entry]}


def _start(facts: Mapping[str, Any]) -> dict[str, Any]:
    """When, where and how a process began."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "gpt2hydra": __version__,
        "python": platform.python_version(),
        "packages": dict(_versions()),
        "git_commit": _git_commit(),
        "command": sys.argv,
        **facts,
    }


def _versions() -> Iterator[tuple[str, str]]:
    from importlib import metadata  # a tenth of the time of every other start

    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            yield package, metadata.version(package)


def _git_commit() -> str | None:
    """The commit of the program or the current directory, with ``-dirty`` where files differ from it."""
    for folder in dict.fromkeys((Path(sys.argv[0]).absolute().parent, Path.cwd())):
        command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        with suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603  # nothing of it is input
            return done.stdout.strip()
    return None


def write(content: Mapping[str, Any], folder: Path) -> None:
    """Write ``run.json``, completely or not at all.

    Raises:
        OSError: it cannot be written.
    """
    with atomic_file(folder / FILE, durable=True) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")


# -------------------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class RunRecord:
    """A run directory as its record tells it, and as it is now."""

    folder: Path
    content: Mapping[str, Any]
    state: str
    process: str | None = None
    """Which one runs there, in words."""

    @property
    def step(self) -> int | None:
        """The last step that the record knows of; None while it runs and where it was killed."""
        step = self.content.get("step")
        return step if isinstance(step, int) else None

    @property
    def result(self) -> Mapping[str, Any]:
        """``validation_loss``, ``seconds`` and more of a finished run; else nothing."""
        result = self.content.get("result")
        return result if isinstance(result, Mapping) else {}

    @property
    def patience(self) -> object:
        """``training.early_stopping_patience``."""
        return dict(leaves(self.content["config"])).get("training.early_stopping_patience")

    @property
    def fingerprint(self) -> str | None:
        """Of all that decides its result, as the version that wrote the record saw it."""
        found = self.content.get("fingerprints")
        return found.get("run") if isinstance(found, Mapping) else None

    def config(self, config_class: type[T]) -> T:
        """The run's configuration, through the strict constructor of its class.

        Raises:
            ConfigError: it is none of this version.
        """
        try:
            return config_class.from_dict({**self.content["config"], "resume": None})
        except ConfigError as error:
            written = self.content.get("gpt2hydra", "unknown")
            problems = "; ".join(f"{each.key}: {each.rule}" for each in error.violations)
            rule = f"was written by gpt2hydra {written}, this is {__version__}, and holds what this version refuses: {problems}"
            raise ConfigError([Violation(relative_path(self.folder / FILE), rule=rule)]) from None


def read(folder: Path) -> RunRecord:
    """What the record in a run directory says.

    Raises:
        ConfigError: there is none, or it is no record.
    """
    content = read_json(folder / FILE, LARGEST)
    process = holder(folder)
    state = RUNNING if process else content.get("state")
    if state == RUNNING and not process:
        state = INTERRUPTED  # it was killed before it could say so
    if state not in STATES or not isinstance(content.get("config"), Mapping):
        raise ConfigError([Violation(relative_path(folder / FILE), rule="is no record of a training run of this version")])
    return RunRecord(folder, content, state, process)


def runs_below(folder: Path) -> Iterator[Path]:
    """Every run directory below ``folder``, itself included, in the order of their names."""
    for parent, folders, files in os.walk(folder):
        folders.sort()
        if FILE in files:
            folders.clear()  # a run holds no other
            yield Path(parent)


def running(folder: Path, process: str) -> Violation:
    """The violation of a directory in which another process runs."""
    return Violation("resume", relative_path(folder), f"is still running ({process}); wait for its end, or stop it first")
