"""``resume=RUN_DIR`` and ``resume=auto``: find the run that continues, its directory and configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.composition.fold import Fold
from gpt2hydra.composition.hydra_state import hydra_overrides
from gpt2hydra.composition.layers import Layer, layer_of
from gpt2hydra.composition.resolve import tree_of
from gpt2hydra.config.errors import ConfigError, Source, Violation, command_line
from gpt2hydra.config.keys import settable_leaves
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.validation import Checked
from gpt2hydra.runs import record, resume_state
from gpt2hydra.utils.paths import relative_path

AUTO = "auto"

# ------------------------------------------------------------------------------------------------------- resume=RUN_DIR


def read_resumed_values(config_class: type[Checked], folded: Fold) -> dict[str, Layer]:
    """Return key → recorded value of the run that ``resume`` names in ``folded``; empty for ``auto``.

    Raises:
        ConfigError: there is no such run, or its configuration is of another version.
    """
    path = OmegaConf.select(tree_of(folded), "resume")
    if not issubclass(config_class, TrainConfig) or not isinstance(path, str) or path == AUTO:
        return {}
    run = resume_state.open_run(path)
    values = settable_leaves(config_class, run.config(config_class).to_dict())
    source = Source("file", relative_path(run.folder / record.FILE))
    return {key: layer_of(value, source) for key, value in values if key != "resume"}


def suggest_resume(violation: Violation, config_class: type[Checked]) -> Violation:
    """Suggest ``resume=`` or ``checkpoint=`` if a word that is no override names a run directory."""
    if violation.action != "word" or not (Path(violation.key) / record.FILE).is_file():
        return violation
    trains = issubclass(config_class, TrainConfig)
    rule = (
        f"is a run directory, but no override; to {'continue the run' if trains else 'generate from it'}, write a key before it"
    )
    return replace(violation, rule=rule, remedy={"resume" if trains else "checkpoint": violation.key})


def _check_run_directory_override(composed: DictConfig, folder: Path) -> list[Violation]:
    typed = next((text for text in hydra_overrides(composed.hydra) if text.startswith("hydra.run.dir=")), None)
    if typed is None:
        return []
    rule = f"cannot be chosen: the run continues in its own directory, {relative_path(folder)}"
    return [Violation("hydra.run.dir", typed.partition("=")[2], rule, command_line(typed))]


# ------------------------------------------------------------------------------------------------------- the directory


@dataclass(frozen=True)
class RunLocation:
    """The directory of a run, and whether it begins, continues or has finished. Rank 0 sends it as JSON."""

    directory: str
    step: int | None = None
    """The step after which the run continues; None if it begins or has finished."""
    loss: float | None = None
    """The validation loss of a run that has finished and need not start; else None."""

    @property
    def state(self) -> str:
        """``finished``, ``continuing`` or ``beginning``."""
        if self.loss is not None:
            return "finished"
        return "beginning" if self.step is None else "continuing"

    def set_resume(self, config: Checked) -> Checked:
        """Return ``config`` with ``resume`` set to this directory if the run continues, else to None."""
        if not isinstance(config, TrainConfig):
            return config
        return replace(config, resume=None if self.step is None else self.directory)

    def redirect(self, composed: DictConfig, *, silent: bool) -> None:
        """Make Hydra's job run in this directory. A run that continues keeps its ``.hydra``.

        Args:
            silent: write no ``.hydra`` and no log, because another process writes them.
        """
        with read_write(composed.hydra), open_dict(composed.hydra):
            if self.directory != composed.hydra.runtime.output_dir:
                composed.hydra.run.dir = composed.hydra.runtime.output_dir = self.directory
            if silent or self.step is not None:
                composed.hydra.output_subdir = None
            if silent:
                composed.hydra.job_logging = {"version": 1, "root": None}  # as hydra/job_logging=none

    def format(self, config: Checked) -> str:
        """Return the line to print before the run; "" without ``resume``."""
        if not isinstance(config, TrainConfig) or config.resume is None:
            return ""
        folder = relative_path(Path(self.directory))
        if self.loss is not None:
            return f"{folder} has finished: validation loss {self.loss:.4f}"
        if self.step is not None:
            return f"{folder} continues after step {self.step:,} of {config.training.max_steps:,}"
        if (Path(self.directory) / record.FILE).is_file():
            return f"{folder} was interrupted before its first checkpoint; it starts again"
        return f"resume=auto: no run has the fingerprint {config.fingerprint()}; a new run starts"


def locate_run(config: Checked, composed: DictConfig) -> RunLocation:
    """Find the directory of a run: ``hydra.run.dir``, or that of the run that continues.

    Raises:
        ConfigError: the run cannot continue.
    """
    directory = Path(composed.hydra.runtime.output_dir)
    if not isinstance(config, TrainConfig) or config.resume is None:
        return RunLocation(str(directory))
    if config.resume != AUTO:
        run = resume_state.open_run(config.resume)
        if problems := _check_run_directory_override(composed, run.folder):
            raise ConfigError(problems)
        return _locate_continued_run(run, config)
    written: Any = OmegaConf.to_container(composed.hydra.run, resolve=False)
    pattern = str(written["dir"])  # outputs/${now:%Y-%m-%d}/${now:%H-%M-%S}
    if "${" not in pattern:
        return locate_in_directory(config, directory)
    newest = next(
        iter(resume_state.find_runs_with_fingerprint(_earlier_directories(directory, pattern), config.fingerprint())), None
    )
    return RunLocation(str(directory)) if newest is None else locate_in_directory(config, newest.folder)


def locate_in_directory(config: TrainConfig, directory: Path) -> RunLocation:
    """Decide whether a run with ``resume=auto`` begins in this directory, continues there, or has finished.

    Raises:
        ConfigError: another process runs there, or the run there has another configuration.
    """
    if not (directory / record.FILE).is_file():
        return RunLocation(str(directory))
    run = record.read(directory)
    if run.state == record.FINISHED and run.fingerprint == config.fingerprint():
        return RunLocation(str(directory), loss=run.result["validation_loss"])
    return _locate_continued_run(run, config)


def _locate_continued_run(run: record.RunRecord, config: TrainConfig) -> RunLocation:
    if run.lock_holder is None:
        run_checkpoints.recover_interrupted(run.folder)
    problems = resume_state.check_resumable(run, config)
    if problems:
        raise ConfigError(problems)
    newest = run_checkpoints.find_newest(run.folder)
    return RunLocation(str(run.folder), step=newest.step if newest else None)


def _earlier_directories(directory: Path, pattern: str) -> Iterator[Path]:
    """Yield the directories of earlier runs that match ``pattern``, which gives ``directory`` now."""
    fixed = Path(pattern.partition("${")[0] + "x").parent.absolute()
    depth = len(directory.absolute().relative_to(fixed).parts)
    return (file.parent for file in fixed.glob("/".join(["*"] * depth + [record.FILE])))


# ------------------------------------------------------------------------------------------------------------- sweeps


def check_resume(config: TrainConfig, *, sweep: bool = False) -> list[Violation]:
    """Return why the run that ``resume`` names cannot continue with this configuration, or not in a sweep."""
    if config.resume in (None, AUTO):
        return []
    if not sweep:
        return resume_state.check_resumable(resume_state.open_run(config.resume), config)
    rule = "would make every point continue in the same directory; with -m, auto continues each point in its own"
    return [Violation("resume", config.resume, rule, remedy={"resume": AUTO})]


def locate_point(config: Checked, directory: Path) -> RunLocation:
    """Decide whether a point of a sweep begins in its directory or, with ``resume=auto``, continues there.

    Raises:
        ConfigError: it cannot continue there.
    """
    if not isinstance(config, TrainConfig):
        return RunLocation(str(directory))
    problems = check_resume(config, sweep=True)
    if problems:
        raise ConfigError(problems)
    if config.resume == AUTO:
        return locate_in_directory(config, directory)
    return RunLocation(str(directory))


def format_locations(locations: Mapping[int, RunLocation]) -> str:
    """Return a line: which points of a sweep have finished, which continue, which begin."""
    kinds: dict[str, list[int]] = {"finished": [], "continuing": [], "beginning": []}
    for number, location in locations.items():
        kinds["finished" if location.loss is not None else "beginning" if location.step is None else "continuing"].append(
            number
        )
    return "resume=auto: " + "; ".join(f"{kind}: {_format_numbers(numbers)}" for kind, numbers in kinds.items() if numbers)


def _format_numbers(numbers: Sequence[int]) -> str:
    return ", ".join(f"#{number}" for number in numbers[:10]) + ", ..." * (len(numbers) > 10)
