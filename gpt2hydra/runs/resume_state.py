"""Which run directories can be resumed, and with which configuration. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.fingerprint import result_values
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.data.file_digest import file_digests
from gpt2hydra.data.text import find_similar
from gpt2hydra.runs import record
from gpt2hydra.runs.directory import has_checkpoints
from gpt2hydra.utils.formatting import error_reason, format_value
from gpt2hydra.utils.paths import relative_path, user_path

MAX_STEPS_KEY = "training.max_steps"
"""Affects the result, because the schedule ends there, but may change, to make a resumed run longer."""

PATIENCE_KEY = "training.early_stopping_patience"
"""Decides when a run ends, as ``training.max_steps`` does, so it may change too."""

BATCH_SPLIT_KEYS = ("training.batch_size", "training.gradient_accumulation_steps")
"""May change if a step still has the same number of sequences."""


@dataclass(frozen=True)
class Change:
    """A key whose value differs from that in the run's record."""

    key: str
    was: object
    now: object


def forbidden_changes(before: TrainConfig, after: TrainConfig) -> Iterator[Change]:
    """Yield forbidden changes of a resumed run: of all keys that affect its result, except those above."""
    was, now = result_values(before), result_values(after)
    free = {
        MAX_STEPS_KEY,
        PATIENCE_KEY,
        *(BATCH_SPLIT_KEYS if before.training.sequences_per_step == after.training.sequences_per_step else ()),
    }
    for key in now:
        if key not in free and was.get(key) != now[key]:
            yield Change(key, was.get(key), now[key])


def check_resumable(run: record.RunRecord, config: TrainConfig) -> list[Violation]:
    """Return the violations if ``run`` cannot be resumed with ``config``; empty if it can.

    Raises:
        ConfigError: this version does not accept the run's configuration.
    """
    if run.lock_holder is not None:
        return [record.in_use_violation(run.folder, run.lock_holder)]
    own = run.config(type(config))
    changed = [_change_violation(change, run.folder) for change in forbidden_changes(own, config)]
    return changed or _check_not_finished(run, config) or _check_data(run, config) or _check_checkpoints(run)


def _change_violation(change: Change, folder: Path) -> Violation:
    rule = f"cannot change in a run that is continued; {relative_path(folder)} was started with {format_value(change.was)}"
    return Violation(change.key, change.now, rule, remedy={change.key: change.was})


def _check_not_finished(run: record.RunRecord, config: TrainConfig) -> list[Violation]:
    steps = config.training.max_steps
    if run.result.get("stopped_early") and config.training.early_stopping_patience == run.patience:
        rule = f"was stopped early because of {PATIENCE_KEY} = {run.patience}; to continue, change that"
        return [Violation("resume", relative_path(run.folder), rule, remedy={PATIENCE_KEY: 0})]
    done = run.step if run.state == record.FINISHED else getattr(run_checkpoints.find_newest(run.folder), "step", None)
    if done is None or done < steps or (done == steps and run.state != record.FINISHED):  # its result is not reported yet
        return []
    what = "is finished and" if run.state == record.FINISHED else "was interrupted and"
    rule = f"{what} has done {done:,} steps; to continue, {MAX_STEPS_KEY} = {steps} must be larger"
    return [Violation("resume", relative_path(run.folder), rule, remedy={MAX_STEPS_KEY: 2 * done})]


def _check_data(run: record.RunRecord, config: TrainConfig) -> list[Violation]:
    before = {each["file"]: each for each in run.content.get("data", [])}
    try:
        now = {each.file: asdict(each) for each in file_digests(config)}
    except OSError:  # a file that cannot be read is reported by the check of the data
        return []
    if list(before.values()) == list(now.values()):
        return []
    changes = "; ".join(sorted(_differences(before, now))[:5]) or "its files have another order"
    rule = f"is not what the run in {relative_path(run.folder)} was trained on: {changes}"
    return [Violation("data.path", config.data.path, rule)]


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield descriptions of how the digests of files, by file name, differ."""
    for file in before.keys() | now.keys():
        if file not in before:
            yield f"{file} is new"
        elif file not in now:
            yield f"{file} is gone"
        elif now[file]["bytes"] != before[file]["bytes"]:
            yield f"{file} had {before[file]['bytes']:,} bytes and has {now[file]['bytes']:,}"
        elif now[file] != before[file]:
            yield f"{file} has the same size as then, but different content"


def _check_checkpoints(run: record.RunRecord) -> list[Violation]:
    """Refuse a run whose checkpoints are all damaged. A run that has none starts again in its directory."""
    if run_checkpoints.find_newest(run.folder) is not None or not has_checkpoints(run.folder):
        return []
    rule = f"has no complete checkpoint left in {relative_path(run.folder / run_checkpoints.CHECKPOINTS_DIR)}"
    return [Violation("resume", relative_path(run.folder), rule)]


def open_run(path: str) -> record.RunRecord:
    """Read the record of the run directory that ``resume=path`` names.

    Raises:
        ConfigError: there is none.
    """
    remedy: dict[str, object] = {}
    try:
        folder = user_path(path).absolute()
        rule = _why_no_run(folder)
        remedy = _suggest_run(folder) if rule else {}
    except OSError as error:  # a name that is too long, no permission
        rule = f"cannot be read: {error_reason(error)}"
    if rule:
        raise ConfigError([Violation("resume", path, rule, remedy=remedy)])
    try:
        return record.read(folder)
    except ConfigError as error:
        raise ConfigError([_suggest_fork(each, folder) for each in error.violations]) from None


def _suggest_fork(violation: Violation, folder: Path) -> Violation:
    """Add to the violation of a damaged record that a fork of the newest checkpoint can continue."""
    newest = run_checkpoints.find_newest(folder)
    if newest is None:
        return violation
    fork = f"fork_from={relative_path(newest.folder)} continues from step {newest.step:,}"
    return replace(violation, rule=f"{violation.rule}; {fork}, whose checkpoint has a copy of the record")


def _why_no_run(folder: Path) -> str:
    """Return why a folder is not a run directory; empty if it is one."""
    if not folder.exists():
        return "there is no such folder"
    if not folder.is_dir():
        return "is a file; must be a run directory"
    if (folder / record.FILE).is_file():
        return ""
    run = next((each for each in folder.parents[:3] if (each / record.FILE).is_file()), None)
    if run is not None:
        return f"is a part of the run in {relative_path(run)}"
    runs = sum(1 for _ in zip(record.find_runs(folder), range(100), strict=False))
    if (folder / "multirun.yaml").is_file():
        return f"is a sweep of {runs} runs; continue it with -m, the command that started it, and resume=auto"
    if runs:
        return f"holds {runs} runs; name one of them"
    return f"holds no {record.FILE}, so it is no run directory of this version"


def _suggest_run(folder: Path) -> dict[str, object]:
    """Return the remedy with the run directory that was meant, if only one is possible; else empty."""
    run = next((each for each in folder.parents[:3] if (each / record.FILE).is_file()), None)
    run = run or find_similar(folder, lambda each: (each / record.FILE).is_file())
    return {"resume": relative_path(run)} if run is not None else {}


def find_runs_with_fingerprint(folders: Iterable[Path], fingerprint: str) -> list[record.RunRecord]:
    """Return the runs in ``folders`` with this fingerprint, the one with the newest record first."""
    found = []
    for folder in folders:
        try:
            run = record.read(folder)
        except ConfigError:  # of another version
            continue
        if run.fingerprint == fingerprint:
            found.append(run)
    return sorted(found, key=lambda run: (run.folder / record.FILE).stat().st_mtime_ns, reverse=True)
