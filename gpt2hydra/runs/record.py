"""The record of a run, ``run.json``: its configuration, the source of each value, and how far it came.

It is complete before the first step and at any later moment, because each new file replaces the old one. The
record of a killed run still says 'running'; :func:`read` returns 'interrupted' if the lock is free.
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
from gpt2hydra.runs.lock import Locked, find_lock_holder, hold_lock
from gpt2hydra.utils.files import atomic_file
from gpt2hydra.utils.paths import relative_path
from gpt2hydra.version import __version__

T = TypeVar("T", bound=TrainConfig)

DEFAULT_FOLDERS = ("outputs", "multirun")
"""The folders of Hydra that are searched for runs by default."""

FILE = "run.json"
MAX_BYTES = 8 * 2**20
"""A larger run.json is not read."""

RUNNING, FINISHED, INTERRUPTED, FAILED = "running", "finished", "interrupted", "failed"
STATES = (RUNNING, FINISHED, INTERRUPTED, FAILED)
"""``interrupted``: by a signal, or killed. ``failed``: by the error in ``reason``. Both can continue."""

PACKAGES = ("torch", "transformers", "lightning-fabric", "tokenizers", "safetensors", "numpy", "hydra-core", "omegaconf")

# -------------------------------------------------------------------------------------------------------------- writing


class Recorder:
    """Writes the record of the current run. The run updates ``step``, the last step done."""

    def __init__(self, folder: Path, content: dict[str, Any], step: int = 0) -> None:
        self.folder, self.content, self.step = folder, content, step

    def update(self, **facts: Any) -> None:
        """Add facts about the run, such as its device, and write the record."""
        self.content |= facts
        write(self.content, self.folder)

    def finish(self, validation_loss: float, seconds: float, **more: Any) -> None:
        """Record the result of a finished run."""
        self.update(state=FINISHED, step=self.step, result={"validation_loss": validation_loss, "seconds": seconds, **more})


@contextmanager
def record_run(
    config: TrainConfig, folder: Path, set_by: Mapping[str, Any] | None, *, resumed_from: int | None = None, **facts: Any
) -> Iterator[Recorder]:
    """Context manager: keep the record of a run, and hold the lock of its directory. For rank 0 only.

    ``KeyboardInterrupt`` and ``SystemExit`` leave the state ``interrupted``, any other error ``failed``.

    Args:
        set_by: the sources of each key, the effective one first; None without Hydra.
        resumed_from: the step from which the run in ``folder`` continues; None for a new run.
        facts: more entries, such as ``processes`` and ``device``.

    Raises:
        ConfigError: another process runs in ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with hold_lock(folder):
            content = (
                _new_content(config, set_by, facts)
                if resumed_from is None
                else _resumed_content(config, folder, set_by, resumed_from, facts)
            )
            recorder = Recorder(folder, content, resumed_from or 0)
            write(content, folder)
            with _recording_final_state(recorder):
                yield recorder
    except Locked as other:
        violation = in_use_violation(folder, str(other))
        raise ConfigError([violation if resumed_from is not None else replace(violation, key="output_dir")]) from None


@contextmanager
def _recording_final_state(recorder: Recorder) -> Iterator[None]:
    state, why = FAILED, {}
    try:
        yield
        state = INTERRUPTED
    except (KeyboardInterrupt, SystemExit):
        state = INTERRUPTED
        raise
    except BaseException as error:
        why = {"reason": _describe_error(error)}
        raise
    finally:
        if recorder.content["state"] == RUNNING:
            with suppress(OSError):  # a full disk: the released lock shows that the run has ended
                recorder.update(state=state, step=recorder.step, **why)


def _describe_error(error: BaseException) -> str:
    if isinstance(error, ConfigError):
        return "; ".join(f"{each.key}: {each.rule}" for each in error.violations)
    return f"{type(error).__name__}: {error}"


def _new_content(config: TrainConfig, set_by: Mapping[str, Any] | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "state": RUNNING,
        **_start_facts(facts),
        "config": _config_values(config),
        "set_by": set_by,
        "fingerprints": fingerprints(config),
        "data": [dataclasses.asdict(each) for each in file_digests(config)],
        "resumed": [],
    }


def _config_values(config: TrainConfig) -> dict[str, Any]:
    """The configuration as plain values, without ``resume``, which does not belong to it."""
    return config.to_dict() | {"resume": None}


def _resumed_content(
    config: TrainConfig, folder: Path, set_by: Mapping[str, Any] | None, step: int, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """The record with a new entry in ``resumed``: when and how the run was resumed, and what was changed."""
    before = read(folder).content
    was, now = dict(leaves(before["config"])), dict(leaves(_config_values(config)))
    changed = {
        key: {"was": was.get(key), "now": value, "set_by": (set_by or {}).get(key)}
        for key, value in now.items()
        if was.get(key) != value
    }
    entry = {"step": step, **_start_facts(facts), "changed": changed}
    kept = {key: value for key, value in before.items() if key not in ("result", "reason", "step")}
    now_set = {"state": RUNNING, "config": _config_values(config), "fingerprints": fingerprints(config)}
    return kept | now_set | {"resumed": [*before.get("resumed", []), entry]}


def _start_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """When and how the process was started, and its versions."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "gpt2hydra": __version__,
        "python": platform.python_version(),
        "packages": dict(_package_versions()),
        "git_commit": _git_commit(),
        "command": sys.argv,
        **facts,
    }


def _package_versions() -> Iterator[tuple[str, str]]:
    from importlib import metadata  # here, because it takes a tenth of the start of other commands

    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            yield package, metadata.version(package)


def _git_commit() -> str | None:
    """Return the commit of the program's repository, or the current folder's; ``-dirty`` if files differ."""
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
    """The record of a run directory, and the present state of the run."""

    folder: Path
    content: Mapping[str, Any]
    state: str
    lock_holder: str | None = None
    """A description of the process that runs there; None if none does."""

    @property
    def step(self) -> int | None:
        """The last step in the record; None while the run is active, or if it was killed."""
        step = self.content.get("step")
        return step if isinstance(step, int) else None

    @property
    def result(self) -> Mapping[str, Any]:
        """``validation_loss``, ``seconds`` and more of a finished run; else empty."""
        result = self.content.get("result")
        return result if isinstance(result, Mapping) else {}

    @property
    def patience(self) -> object:
        """``training.early_stopping_patience``."""
        return dict(leaves(self.content["config"])).get("training.early_stopping_patience")

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint of all values that affect the result, by the version that wrote the record."""
        found = self.content.get("fingerprints")
        return found.get("run") if isinstance(found, Mapping) else None

    def config(self, config_class: type[T]) -> T:
        """Build the run's configuration with the strict constructor of its class.

        Raises:
            ConfigError: this version does not accept it.
        """
        try:
            return config_class.from_dict({**self.content["config"], "resume": None})
        except ConfigError as error:
            written = self.content.get("gpt2hydra", "unknown")
            problems = "; ".join(f"{each.key}: {each.rule}" for each in error.violations)
            rule = f"was written by gpt2hydra {written}, this is {__version__}, and holds what this version refuses: {problems}"
            raise ConfigError([Violation(relative_path(self.folder / FILE), rule=rule)]) from None


def read(folder: Path) -> RunRecord:
    """Read the record of a run directory.

    Raises:
        ConfigError: there is none, or it is no record.
    """
    content = read_json(folder / FILE, MAX_BYTES)
    lock_holder = find_lock_holder(folder)
    state = RUNNING if lock_holder else content.get("state")
    if state == RUNNING and not lock_holder:
        state = INTERRUPTED  # it was killed before it could write that
    if state not in STATES or not isinstance(content.get("config"), Mapping):
        raise ConfigError([Violation(relative_path(folder / FILE), rule="is no record of a training run of this version")])
    return RunRecord(folder, content, state, lock_holder)


def find_runs(folder: Path) -> Iterator[Path]:
    """Yield every run directory below ``folder``, itself included, in the order of their names."""
    for parent, folders, files in os.walk(folder):
        folders.sort()
        if FILE in files:
            folders.clear()  # a run directory contains no other
            yield Path(parent)


def in_use_violation(folder: Path, lock_holder: str) -> Violation:
    """Return the violation of a directory in which another process runs."""
    return Violation("resume", relative_path(folder), f"is still running ({lock_holder}); wait for its end, or stop it first")
