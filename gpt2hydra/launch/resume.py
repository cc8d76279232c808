"""``resume=RUN_DIR`` and ``resume=auto``: the configuration with which a run continues, and its directory."""

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


def values_of_the_run(config_class: type[Checked], folded: Fold) -> dict[str, Layer]:
    """The configuration of the run that ``resume`` in ``folded`` names, by key; nothing for ``auto``.

    Raises:
        ConfigError: there is no such run, or it has no configuration of this version.
    """
    path = OmegaConf.select(tree_of(folded), "resume")
    if not issubclass(config_class, TrainConfig) or not isinstance(path, str) or path == AUTO:
        return {}
    run = resume_state.open_run(path)
    values = settable_leaves(config_class, run.config(config_class).to_dict())
    source = Source("file", relative_path(run.folder / record.FILE))
    return {key: layer_of(value, source) for key, value in values if key != "resume"}


def run_meant(violation: Violation, config_class: type[Checked]) -> Violation:
    """The violation of a word that is no override; with the key that is meant if it is a run's directory."""
    if violation.action != "word" or not (Path(violation.key) / record.FILE).is_file():
        return violation
    trains = issubclass(config_class, TrainConfig)
    rule = f"is a run's directory, which {'continues' if trains else 'generates'} with a key before it"
    return replace(violation, rule=rule, remedy={"resume" if trains else "checkpoint": violation.key})


def _another_directory(composed: DictConfig, folder: Path) -> list[Violation]:
    typed = next((text for text in hydra_overrides(composed.hydra) if text.startswith("hydra.run.dir=")), None)
    if typed is None:
        return []
    rule = f"cannot be chosen: the run continues in its own directory, {relative_path(folder)}"
    return [Violation("hydra.run.dir", typed.partition("=")[2], rule, command_line(typed))]


# ------------------------------------------------------------------------------------------------------- the directory


@dataclass(frozen=True)
class RunLocation:
    """Where a run writes, and what it does there. Plain values: processes tell each other."""

    directory: str
    step: int | None = None
    """It continues after this step; None where it begins."""
    loss: float | None = None
    """It has finished with this validation loss, and there is nothing left to do."""

    @property
    def state(self) -> str:
        """``finished``, ``continuing`` or ``beginning``."""
        if self.loss is not None:
            return "finished"
        return "beginning" if self.step is None else "continuing"

    def of(self, config: Checked) -> Checked:
        """``config`` for a run here."""
        if not isinstance(config, TrainConfig):
            return config
        return replace(config, resume=None if self.step is None else self.directory)

    def redirect(self, composed: DictConfig, *, silent: bool) -> None:
        """Let Hydra's job run here. What ``.hydra`` has of a run that is continued stays.

        Args:
            silent: make no ``.hydra`` and write no log, which another process does.
        """
        with read_write(composed.hydra), open_dict(composed.hydra):
            if self.directory != composed.hydra.runtime.output_dir:
                composed.hydra.run.dir = composed.hydra.runtime.output_dir = self.directory
            if silent or self.step is not None:
                composed.hydra.output_subdir = None
            if silent:
                composed.hydra.job_logging = {"version": 1, "root": None}  # as hydra/job_logging=none

    def format(self, config: Checked) -> str:
        """The line about it before the run; nothing of a run that just begins."""
        if not isinstance(config, TrainConfig) or config.resume is None:
            return ""
        here = relative_path(Path(self.directory))
        if self.loss is not None:
            return f"{here} has finished: validation loss {self.loss:.4f}"
        if self.step is not None:
            return f"{here} continues after step {self.step:,} of {config.training.max_steps:,}"
        if (Path(self.directory) / record.FILE).is_file():
            return f"{here} was interrupted before its first checkpoint; it begins again"
        return f"resume=auto: no run has the fingerprint {config.fingerprint()}; a new one begins"


def locate_run(config: Checked, composed: DictConfig) -> RunLocation:
    """Where a run with this configuration writes: ``hydra.run.dir``, or where the run that continues did.

    Raises:
        ConfigError: the run cannot continue.
    """
    directory = Path(composed.hydra.runtime.output_dir)
    if not isinstance(config, TrainConfig) or config.resume is None:
        return RunLocation(str(directory))
    if config.resume != AUTO:
        run = resume_state.open_run(config.resume)
        if problems := _another_directory(composed, run.folder):
            raise ConfigError(problems)
        return _continuing(run, config)
    written: Any = OmegaConf.to_container(composed.hydra.run, resolve=False)
    pattern = str(written["dir"])  # outputs/${now:%Y-%m-%d}/${now:%H-%M-%S}
    if "${" not in pattern:
        return locate_in(config, directory)
    newest = next(iter(resume_state.of_fingerprint(_earlier_directories(directory, pattern), config.fingerprint())), None)
    return RunLocation(str(directory)) if newest is None else locate_in(config, newest.folder)


def locate_in(config: TrainConfig, directory: Path) -> RunLocation:
    """Whether a run with ``resume=auto`` and this very directory continues, begins, or is done.

    Raises:
        ConfigError: another process runs there, or a run with another configuration did.
    """
    if not (directory / record.FILE).is_file():
        return RunLocation(str(directory))
    run = record.read(directory)
    if run.state == record.FINISHED and run.fingerprint == config.fingerprint():
        return RunLocation(str(directory), loss=run.result["validation_loss"])
    return _continuing(run, config)


def _continuing(run: record.RunRecord, config: TrainConfig) -> RunLocation:
    if run.process is None:
        run_checkpoints.recover_interrupted(run.folder)
    problems = resume_state.check_resumable(run, config)
    if problems:
        raise ConfigError(problems)
    newest = run_checkpoints.newest(run.folder)
    return RunLocation(str(run.folder), step=newest.step if newest else None)


def _earlier_directories(directory: Path, pattern: str) -> Iterator[Path]:
    """The directories of earlier runs that ``pattern`` gave, as it gives ``directory`` now."""
    fixed = Path(pattern.partition("${")[0] + "x").parent.absolute()
    depth = len(directory.absolute().relative_to(fixed).parts)
    return (file.parent for file in fixed.glob("/".join(["*"] * depth + [record.FILE])))


# ------------------------------------------------------------------------------------------------------------- sweeps


def check_resume(config: TrainConfig, *, sweep: bool = False) -> list[Violation]:
    """Why the run that ``resume`` names cannot continue with this configuration; in a sweep none can."""
    if config.resume in (None, AUTO):
        return []
    if not sweep:
        return resume_state.check_resumable(resume_state.open_run(config.resume), config)
    rule = "would let every point continue in one directory; with -m, auto continues each in its own"
    return [Violation("resume", config.resume, rule, remedy={"resume": AUTO})]


def locate_point(config: Checked, directory: Path) -> RunLocation:
    """Where a point of a sweep writes: in its own directory, where it continues with ``resume=auto``.

    Raises:
        ConfigError: it cannot continue there.
    """
    if not isinstance(config, TrainConfig):
        return RunLocation(str(directory))
    problems = check_resume(config, sweep=True)
    if problems:
        raise ConfigError(problems)
    if config.resume == AUTO:
        return locate_in(config, directory)
    return RunLocation(str(directory))


def summary_of(locations: Mapping[int, RunLocation]) -> str:
    """Which points of a sweep have finished, which continue, and which begin."""
    kinds: dict[str, list[int]] = {"finished": [], "continuing": [], "beginning": []}
    for number, location in locations.items():
        kinds["finished" if location.loss is not None else "beginning" if location.step is None else "continuing"].append(
            number
        )
    return "resume=auto: " + "; ".join(f"{kind}: {_listed(numbers)}" for kind, numbers in kinds.items() if numbers)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(f"#{number}" for number in numbers[:10]) + ", ..." * (len(numbers) > 10)
