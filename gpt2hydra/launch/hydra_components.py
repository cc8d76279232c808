"""What Hydra makes by its own section: callbacks, launcher, sweeper, logs. Tried before a start."""

from __future__ import annotations

import copy
import dataclasses
import logging
import os
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import configure_log
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_compat import node_at
from gpt2hydra.composition.layers import raw
from gpt2hydra.config.errors import ConfigError, Violation, command_line
from gpt2hydra.utils.formatting import reason_of

AT_LEAST_ONE = {"max_batch_size": ", or null for all at once", "n_trials": "", "n_jobs": ""}
"""Numbers of sweepers that must be at least one, and what else they may be. A smaller one may loop for ever."""

DIRECTIONS = ("minimize", "maximize")


def compose_valid_overrides(composer: Composer, words: Sequence[str], run_mode: RunMode) -> DictConfig | None:
    """What Hydra makes of the overrides that are right.

    Where what they choose is broken, it has those of Hydra's own section alone; it is None where they are
    broken too.
    """
    for texts in (words, [text for text in words if text.lstrip("+~").startswith("hydra")]):
        with suppress(Exception):
            return composer.compose_by_hydra(texts, run_mode, leave_sweeps_out=True)
    return None


def check_job(composed: DictConfig) -> Iterator[Violation]:
    """What of ``hydra.callbacks``, ``hydra.verbose`` and ``hydra.job_logging`` cannot be made."""
    broken = [*unresolved(composed, *READ_BY_A_JOB)]
    if broken:
        yield from broken
        return
    for name, callback in composed.hydra.callbacks.items():
        yield from _absent(f"hydra.callbacks.{name}", callback)
    verbose = composed.hydra.verbose
    if not isinstance(verbose, (bool, str, ListConfig)):
        yield Violation("hydra.verbose", verbose, "must be true, false, or the names of loggers")
    yield from _log_problems(composed, "job_logging")
    yield from _file_problems(composed)


READ_BY_A_SWEEP = ("mode", "launcher", "sweeper")
READ_BY_A_JOB = ("job", "verbose", "output_subdir", "callbacks")
"""Parts of Hydra's section that it reads for each job, besides its directory and its logs."""


def check_references(composed: DictConfig, *parts: str) -> None:
    """Refuse references in parts of Hydra's section that cannot be resolved.

    Raises:
        ConfigError: with each of them.
    """
    found = [*unresolved(composed, *parts)]
    if found:
        raise ConfigError(found)


def unresolved(composed: DictConfig, *parts: str) -> Iterator[Violation]:
    """The references in parts of Hydra's section that cannot be resolved, but for those that only a job can."""
    if not any("${" in str(raw(node_at(composed.hydra, part))) for part in parts):
        return
    HydraConfig.instance().set_config(copy.deepcopy(composed))  # for ${hydra:job.name}; what is set there is read-only
    for part in parts:
        yield from _unresolved(composed.hydra, part, f"hydra.{part}")


def _unresolved(parent: DictConfig, name: Any, key: str) -> Iterator[Violation]:
    try:
        node = parent[name]
    except (MissingMandatoryValue, InterpolationToMissingValueError):
        return
    except Exception as error:  # resolvers raise what they like
        yield Violation(key, raw(node_at(parent, name)), f"cannot be resolved: {reason_of(error)}")
    else:
        for each in node if isinstance(node, DictConfig) else ():
            yield from _unresolved(node, each, f"{key}.{each!s}")


def files_of_job(composed: DictConfig) -> list[str]:
    """What Hydra writes into a job's directory, by relative path: its copy of the config, and the logs."""
    if any(unresolved(composed, *READ_BY_A_JOB)):
        return []
    subdir = composed.hydra.output_subdir
    copies = [] if subdir is None else [f"{subdir}/{name}.yaml" for name in ("config", "hydra", "overrides")]
    return [*copies, *_logs(composed)]


def _logs(composed: DictConfig) -> Iterator[str]:
    """The logs of a job, by their path in its directory, as far as that is known before it has one."""
    logging: Any = OmegaConf.to_container(composed.hydra.job_logging, resolve=False)
    name = str(composed.hydra.job.name)
    for handler in (logging.get("handlers") or {}).values():
        path = str(handler.get("filename", "")).replace("${hydra.job.name}", name).replace("${hydra:job.name}", name)
        place, _, file = path.partition("}/")
        if place in ("${hydra.runtime.output_dir", "${hydra:runtime.output_dir") and "${" not in file:
            yield file


def _file_problems(composed: DictConfig) -> Iterator[Violation]:
    """Files that Hydra could not write in a job's directory: a log in a folder that nobody makes, or in place of one."""
    subdir, name = composed.hydra.output_subdir, str(composed.hydra.job.name)
    for log in _logs(composed):
        if subdir == log:
            yield Violation(
                "hydra.output_subdir", subdir, "is the name of the log too", remedy={"hydra.output_subdir": ".hydra"}
            )
        elif "/" in name and "/" in log:
            rule, last = f"names a file, the log {log}, and must have no /", name.rstrip("/").rpartition("/")[2]
            yield Violation("hydra.job.name", name, rule, remedy={"hydra.job.name": last} if last else {})


def check_chosen(composed: DictConfig) -> None:
    """Refuse a sweep without a launcher or a sweeper.

    Raises:
        ConfigError: ``hydra.launcher`` or ``hydra.sweeper`` is no section.
    """
    parts = (f"hydra.{name}" for name in ("launcher", "sweeper") if not isinstance(composed.hydra[name], Mapping))
    found = [
        Violation(part, composed.hydra[part[6:]], f"is chosen as a group: {part.replace('.', '/')}=basic") for part in parts
    ]
    if found:
        raise ConfigError(found)


def check_sweep(composed: DictConfig) -> Iterator[Violation]:
    """The same of a sweep, with ``hydra.launcher``, ``hydra.sweeper`` and ``hydra.hydra_logging``."""
    yield from check_job(composed)
    broken = [*unresolved(composed, *READ_BY_A_SWEEP)]
    if broken:
        yield from broken
        return
    for part in ("launcher", "sweeper"):
        yield from _absent(f"hydra.{part}", composed.hydra[part])
    for name, otherwise in AT_LEAST_ONE.items():
        count = composed.hydra.sweeper.get(name)
        if isinstance(count, int) and count < 1:
            yield Violation(f"hydra.sweeper.{name}", count, f"must be ≥ 1{otherwise}")
    given = composed.hydra.sweeper.get("direction", ())
    directions = given if isinstance(given, ListConfig) else [given]
    if given and any(getattr(each, "name", each) not in DIRECTIONS for each in directions):
        yield Violation("hydra.sweeper.direction", given, f"must be {' or '.join(DIRECTIONS)}")
    yield from _log_problems(composed, "hydra_logging")


def with_origin(violation: Violation, overrides: Sequence[str], composer: Callable[[], Composer]) -> Violation:
    """The violation with who set its key of Hydra's own section, which provenance leaves aside."""
    typed = {text.partition("=")[0].lstrip("+~"): command_line(text) for text in overrides}
    if violation.key == "hydra" and "hydra" in typed:
        rule = "is Hydra's own section, and can be neither replaced nor deleted; set its keys, as in hydra.run.dir=DIR"
        return dataclasses.replace(violation, rule=rule, source=typed["hydra"], remedy={})
    if violation.source is not None:
        return violation
    above = [typed[name] for name in typed if f"{violation.key}.".startswith(f"{name}.")]
    below = [typed[name] for name in typed if name.startswith(f"{violation.key}.")]
    if len(below) > 1 and not above:  # of several, nobody knows which is to blame
        below = [command_line()]
    source = next(iter([*above[-1:], *below]), None)
    if source is None and violation.key.startswith("hydra."):
        source = composer().hydra_source(violation.key, overrides)
    return dataclasses.replace(violation, source=source)


def _absent(key: str, part: Any) -> Iterator[Violation]:
    """The class that ``_target_`` of a part names, if it cannot be imported."""
    target = part.get("_target_") if isinstance(part, Mapping) else None
    if not isinstance(target, str):
        return
    try:
        pkgutil.resolve_name(target)
    except Exception as error:  # whatever its module raises
        yield Violation(f"{key}._target_", target, f"cannot be imported: {reason_of(error)}")


def _log_problems(composed: DictConfig, name: str) -> Iterator[Violation]:
    """Why Hydra cannot set up a log, tried without its files."""
    section = copy.deepcopy(composed.hydra[name])
    try:
        with read_write(section), open_dict(section), _logging_as_before():
            for handler in (section.get("handlers") or {}).values():
                if "filename" in handler:
                    handler.filename = os.devnull
                if str(handler.get("class")) == "logging.FileHandler":
                    handler.delay = True
            configure_log(section)
    except InterpolationToMissingValueError:  # what only a job of a sweep knows
        return
    except Exception as error:  # classes that a user names raise what they like
        yield Violation(f"hydra.{name}", rule=log_rule(error))


def log_rule(error: Exception) -> str:
    """Why a log could not be set up."""
    return f"cannot be set up: {reason_of(error.__cause__ or error)}"


@contextmanager
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
