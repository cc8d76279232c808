"""``resume=RUN_DIR`` and ``resume=auto``: the configuration with which a run continues, and the directory that it is in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.composition.composer import Composer, Composition
from gpt2hydra.composition.fold import Provenance
from gpt2hydra.composition.instantiate import instantiate
from gpt2hydra.composition.schema import schema_of
from gpt2hydra.composition.validate import config_class_of
from gpt2hydra.config.errors import ConfigError, Setting, Source, Violation, collect_violations, command_line
from gpt2hydra.config.keys import keys_of, leaves
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.validation import Checked
from gpt2hydra.runs import record, resume_state
from gpt2hydra.utils.paths import relative_path

C = TypeVar("C", bound=TrainConfig)

AUTO = "auto"

# ------------------------------------------------------------------------------------------------------- resume=RUN_DIR


def resumed_run(composed: DictConfig) -> str | None:
    """The run directory that ``resume=`` names; None where it is absent, null, or ``auto``."""
    path = composed.get("resume") if issubclass(config_class_of(composed), TrainConfig) else None
    return path if isinstance(path, str) and path != AUTO else None


def _class_of(composed: DictConfig) -> type[TrainConfig]:
    config_class = config_class_of(composed)
    assert issubclass(config_class, TrainConfig), config_class  # resumed_run() has asked
    return config_class


def configuration_of_the_run(composer: Composer, composed: DictConfig, found: Composition) -> TrainConfig:
    """The configuration of the run that ``composed.resume`` names, and what the command line sets with it.

    From now on ``found.provenance`` is that of the run: what the command line does not set is set by its ``run.json``.

    Raises:
        ConfigError: there is no such run, it cannot continue, or not with these overrides.
    """
    problems: list[Violation] = []
    with collect_violations(problems):
        run = resume_state.open_run(composed.resume)
        own = run.config(_class_of(composed))
        typed = [*_set_on_the_command_line(composer, found, type(own))]
        found.provenance = _provenance_of_the_run(found.provenance, own, run.folder, typed)
        config = _with_overrides(composed, typed, own)
        problems += [*resume_state.check_resumable(run, config), *_another_directory(found.overrides.texts, run.folder)]
        if not problems:
            return replace(config, resume=str(run.folder))
    raise ConfigError(map(found.provenance.blame, problems))


def _provenance_of_the_run(provenance: Provenance, own: TrainConfig, folder: Path, typed: Sequence[str]) -> Provenance:
    """Who set each value of a run that continues: its record, and for the ``typed`` keys the command line after it."""
    record_file = Source("file", relative_path(folder / record.FILE))
    settings = {key: (Setting(key, value, record_file),) for key, value in leaves(own) if key != "resume"}
    later = {key: (*settings.get(key, ()), provenance.settings[key][-1]) for key in typed if key in provenance.settings}
    return replace(provenance, settings={**provenance.settings, **settings, **later})


def run_meant(violation: Violation, config_class: type[Checked]) -> Violation:
    """The violation of a word that is no override, with the key that is meant where it names a run's directory."""
    if violation.action != "word" or not (Path(violation.key) / record.FILE).is_file():
        return violation
    trains = issubclass(config_class, TrainConfig)
    rule = f"is a run's directory, which {'continues' if trains else 'generates'} with a key before it"
    return replace(violation, rule=rule, remedy={"resume" if trains else "checkpoint": violation.key})


def _another_directory(overrides: Sequence[str], folder: Path) -> list[Violation]:
    typed = next((text for text in overrides if text.startswith("hydra.run.dir=")), None)
    if typed is None:
        return []
    rule = f"cannot be chosen: the run continues in its own directory, {relative_path(folder)}"
    return [Violation("hydra.run.dir", typed.partition("=")[2], rule, command_line(typed))]


def _with_overrides(composed: DictConfig, typed: Sequence[str], own: C) -> C:
    """``own``, with the values of ``composed`` under the ``typed`` keys.

    Raises:
        ConfigError: they do not go together; the remedy of a typed key is the value that the run has.
    """
    merged = OmegaConf.merge(OmegaConf.structured(schema_of(type(own))), _settable(own))
    written: Any = OmegaConf.to_container(composed, resolve=False)
    for key in typed:
        OmegaConf.update(merged, key, _at(written, key))
    assert isinstance(merged, DictConfig)
    try:
        return instantiate(merged, type(own))
    except ConfigError as error:
        values = dict(leaves(own))
        remedies = ({each.key: values[each.key]} if each.key in typed else {} for each in error.violations)
        pairs = zip(error.violations, remedies, strict=True)
        raise ConfigError(replace(each, source=None, remedy=remedy) for each, remedy in pairs) from None


def _set_on_the_command_line(composer: Composer, found: Composition, config_class: type[TrainConfig]) -> Iterator[str]:
    """The keys that an override sets, or an option that was chosen there."""
    typed, usual = found.provenance.settings, composer.fold(()).provenance.settings
    chosen = tuple(f"{each.key_or_group}." for each in found.overrides.choices)
    for key in keys_of(config_class):
        if typed.get(key) != usual.get(key) or key.startswith(chosen):
            yield key


def _settable(config: TrainConfig) -> dict[str, Any]:
    """``config`` as nested values, without what is computed."""
    nested: dict[str, Any] = {}
    for key in keys_of(type(config)):
        *above, name = key.split(".")
        section: Any = config
        place = nested
        for part in above:
            section, place = getattr(section, part), place.setdefault(part, {})
        place[name] = getattr(section, name)
    return nested


def _at(nested: Any, key: str) -> Any:
    for part in key.split("."):
        nested = nested[part]
    return nested


# ------------------------------------------------------------------------------------------------------- the directory


@dataclass(frozen=True)
class Place:
    """Where a run writes, and what it does there. Plain values: processes tell each other."""

    directory: str
    step: int | None = None
    """It continues after this step; None where it begins."""
    loss: float | None = None
    """It has finished with this validation loss, and there is nothing left to do."""

    def of(self, config: Checked) -> Checked:
        """``config`` for a run in this place."""
        if not isinstance(config, TrainConfig):
            return config
        return replace(config, resume=None if self.step is None else self.directory)

    def redirect(self, composed: DictConfig, *, silent: bool) -> None:
        """Let Hydra's job run in this place. What ``.hydra`` has of a run that is continued stays.

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

    def words(self, config: Checked) -> str:
        """The line about it before the run; nothing of a run that just begins."""
        if not isinstance(config, TrainConfig) or config.resume is None:
            return ""
        here = relative_path(Path(self.directory))
        if self.loss is not None:
            return f"{here} has finished: validation loss {self.loss:.4f}"
        if self.step is not None:
            return f"{here} continues after step {self.step:,} of {config.training.max_steps:,}"
        if (Path(self.directory) / record.FILE).is_file():
            return f"{here} was cut before its first checkpoint; it begins anew"
        return f"resume=auto: no run has the fingerprint {config.fingerprint()}; a new one begins"


def place_of(config: TrainConfig, directory: Path, pattern: str) -> Place:
    """Where a run with this configuration writes.

    Args:
        directory: a new one, or that of an earlier run that is named.
        pattern: how ``directory`` was written: ``outputs/${now:%Y-%m-%d}/${now:%H-%M-%S}``.

    Raises:
        ConfigError: the run that would go on cannot.
    """
    if config.resume is None:
        return Place(str(directory))
    if config.resume != AUTO:
        return _going_on(record.read(Path(config.resume)), config)
    if "${" not in pattern:
        return in_directory(config, directory)
    run = resume_state.newest_alike(_alike(directory, pattern), config.fingerprint())
    return Place(str(directory)) if run is None else in_directory(config, run.folder)


def in_directory(config: TrainConfig, directory: Path) -> Place:
    """Where a run with ``resume=auto`` and this very directory writes: it continues, or begins; or it is done.

    Raises:
        ConfigError: another process runs there, or a run with another configuration did.
    """
    if not (directory / record.FILE).is_file():
        return Place(str(directory))
    run = record.read(directory)
    if run.state == record.FINISHED and run.fingerprint == config.fingerprint():
        return Place(str(directory), loss=run.result["validation_loss"])
    return _going_on(run, config)


def _going_on(run: record.RunRecord, config: TrainConfig) -> Place:
    if run.process is None:
        run_checkpoints.recover_interrupted(run.folder)
    problems = resume_state.check_resumable(run, config)
    if problems:
        raise ConfigError(problems)
    newest = run_checkpoints.newest(run.folder)
    return Place(str(run.folder), step=newest.step if newest else None)


def _alike(directory: Path, pattern: str) -> Iterator[Path]:
    """The directories of earlier runs that ``pattern`` gave, as it gives ``directory`` now."""
    fixed = Path(pattern.partition("${")[0] + "x").parent.absolute()
    depth = len(directory.absolute().relative_to(fixed).parts)
    return (file.parent for file in fixed.glob("/".join(["*"] * depth + [record.FILE])))


# ------------------------------------------------------------------------------------------------------------- sweeps


def sweep_problems(config: Checked) -> list[Violation]:
    """``resume=RUN_DIR`` of a point of a sweep, or nothing."""
    if not isinstance(config, TrainConfig) or config.resume in (None, AUTO):
        return []
    rule = "would let every point continue in one directory; with -m, auto continues each in its own"
    return [Violation("resume", config.resume, rule, remedy={"resume": AUTO})]


def point(config: Checked, directory: Path) -> Place:
    """Where a point of a sweep writes: in its own directory, where it continues with ``resume=auto``.

    Raises:
        ConfigError: it cannot go on there.
    """
    problems = sweep_problems(config)
    if problems:
        raise ConfigError(problems)
    if isinstance(config, TrainConfig) and config.resume == AUTO:
        return in_directory(config, directory)
    return Place(str(directory))


def summary_of(places: Mapping[int, Place]) -> str:
    """Which points of a sweep have finished, which go on, and which begin."""
    kinds: dict[str, list[int]] = {"finished": [], "going on": [], "beginning": []}
    for number, place in places.items():
        kinds["finished" if place.loss is not None else "beginning" if place.step is None else "going on"].append(number)
    return "resume=auto: " + "; ".join(f"{kind}: {_listed(numbers)}" for kind, numbers in kinds.items() if numbers)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(f"#{number}" for number in numbers[:10]) + ", ..." * (len(numbers) > 10)
