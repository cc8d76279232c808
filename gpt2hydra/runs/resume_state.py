"""Which run directory can continue, and with which configuration. Standard library only."""

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
from gpt2hydra.data.text import similar
from gpt2hydra.runs import record
from gpt2hydra.runs.directory import has_checkpoints
from gpt2hydra.utils.formatting import reason_of, show
from gpt2hydra.utils.paths import relative_path, user_path

STEPS = "training.max_steps"
"""Decides the result, as the end of the schedule, and may change: so a run is made longer."""

PATIENCE = "training.early_stopping_patience"
"""Decides when a run ends, as the number of its steps does."""

PASSES = ("training.batch_size", "training.gradient_accumulation_steps")
"""May change as long as a step has as many sequences."""


@dataclass(frozen=True)
class Change:
    """A key whose value is not the run's own."""

    key: str
    was: object
    now: object


def forbidden(before: TrainConfig, after: TrainConfig) -> Iterator[Change]:
    """What may not change in a run that is continued: what decides its result, except for a few keys."""
    was, now = result_values(before), result_values(after)
    free = {STEPS, PATIENCE, *(PASSES if before.training.sequences_per_step == after.training.sequences_per_step else ())}
    for key in now:
        if key not in free and was.get(key) != now[key]:
            yield Change(key, was.get(key), now[key])


def check_resumable(run: record.RunRecord, config: TrainConfig) -> list[Violation]:
    """Why ``run`` cannot continue with ``config``; nothing where it can.

    Raises:
        ConfigError: the run's configuration is none of this version.
    """
    if run.process is not None:
        return [record.running(run.folder, run.process)]
    own = run.config(type(config))
    changed = [_fixed(change, run.folder) for change in forbidden(own, config)]
    return changed or _finished(run, config) or _data_changed(run, config) or _without_checkpoint(run)


def _fixed(change: Change, folder: Path) -> Violation:
    rule = f"cannot change in a run that is continued; {relative_path(folder)} was started with {show(change.was)}"
    return Violation(change.key, change.now, rule, remedy={change.key: change.was})


def _finished(run: record.RunRecord, config: TrainConfig) -> list[Violation]:
    steps = config.training.max_steps
    if run.result.get("stopped_early") and config.training.early_stopping_patience == run.patience:
        rule = f"was stopped early, as {PATIENCE} = {run.patience} asks; to continue, change that"
        return [Violation("resume", relative_path(run.folder), rule, remedy={PATIENCE: 0})]
    done = run.step if run.state == record.FINISHED else getattr(run_checkpoints.newest(run.folder), "step", None)
    if done is None or done < steps or (done == steps and run.state != record.FINISHED):  # its result is not reported yet
        return []
    what = "is finished and" if run.state == record.FINISHED else "was interrupted and"
    rule = f"{what} has done {done:,} steps; to continue, {STEPS} = {steps} must be larger"
    return [Violation("resume", relative_path(run.folder), rule, remedy={STEPS: 2 * done})]


def _data_changed(run: record.RunRecord, config: TrainConfig) -> list[Violation]:
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
    """In words, how the digests of files, by their names, differ."""
    for file in before.keys() | now.keys():
        if file not in before:
            yield f"{file} is new"
        elif file not in now:
            yield f"{file} is gone"
        elif now[file]["bytes"] != before[file]["bytes"]:
            yield f"{file} had {before[file]['bytes']:,} bytes and has {now[file]['bytes']:,}"
        elif now[file] != before[file]:
            yield f"{file} has as many bytes as then, but others"


def _without_checkpoint(run: record.RunRecord) -> list[Violation]:
    """A run without checkpoints begins anew in its directory; one whose are all damaged needs a person."""
    if run_checkpoints.newest(run.folder) is not None or not has_checkpoints(run.folder):
        return []
    rule = f"has no complete checkpoint left in {relative_path(run.folder / run_checkpoints.FOLDER)}"
    return [Violation("resume", relative_path(run.folder), rule)]


def open_run(path: str) -> record.RunRecord:
    """The run directory that ``resume=path`` names.

    Raises:
        ConfigError: there is none.
    """
    remedy: dict[str, object] = {}
    try:
        folder = user_path(path).absolute()
        rule = _why_not(folder)
        remedy = _near(folder) if rule else {}
    except OSError as error:  # a name that is too long, no permission
        rule = f"cannot be looked at: {reason_of(error)}"
    if rule:
        raise ConfigError([Violation("resume", path, rule, remedy=remedy)])
    try:
        return record.read(folder)
    except ConfigError as error:
        raise ConfigError([_with_way_out(each, folder) for each in error.violations]) from None


def _with_way_out(violation: Violation, folder: Path) -> Violation:
    """Where the record is damaged, a fork of a checkpoint, which has the configuration, continues."""
    newest = run_checkpoints.newest(folder)
    if newest is None:
        return violation
    fork = f"fork_from={relative_path(newest.folder)} continues from step {newest.step:,}, whose checkpoint has a copy"
    return replace(violation, rule=f"{violation.rule}; {fork}")


def _why_not(folder: Path) -> str:
    """What a folder is instead of a run directory; nothing if it is one."""
    if not folder.exists():
        return "there is no such folder"
    if not folder.is_dir():
        return "is a file; must be a run directory"
    if (folder / record.FILE).is_file():
        return ""
    run = next((each for each in folder.parents[:3] if (each / record.FILE).is_file()), None)
    if run is not None:
        return f"is a part of the run in {relative_path(run)}"
    runs = sum(1 for _ in zip(record.runs_below(folder), range(100), strict=False))
    if (folder / "multirun.yaml").is_file():
        return f"is a sweep of {runs} runs; continue it with -m, the command that started it, and resume=auto"
    if runs:
        return f"holds {runs} runs; name one of them"
    return f"holds no {record.FILE}, so it is no run directory of this version"


def _near(folder: Path) -> dict[str, object]:
    """A remedy with the run directory that was meant, where one is certain."""
    run = next((each for each in folder.parents[:3] if (each / record.FILE).is_file()), None)
    run = run or similar(folder, lambda each: (each / record.FILE).is_file())
    return {"resume": relative_path(run)} if run is not None else {}


def of_fingerprint(folders: Iterable[Path], fingerprint: str) -> list[record.RunRecord]:
    """The runs in ``folders`` with this fingerprint, the one that wrote its record last first."""
    found = []
    for folder in folders:
        try:
            run = record.read(folder)
        except ConfigError:  # of another version
            continue
        if run.fingerprint == fingerprint:
            found.append(run)
    return sorted(found, key=lambda run: (run.folder / record.FILE).stat().st_mtime_ns, reverse=True)
