"""Checks of Hydra's section, before anything starts: can callbacks, launcher, sweeper and logs be created?"""

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
from gpt2hydra.utils.formatting import error_reason

AT_LEAST_ONE = {"max_batch_size": ", or null for one batch", "n_trials": "", "n_jobs": ""}
"""Key of a sweeper that must be ≥ 1 → what else it may be. A smaller one may cause an endless loop."""

DIRECTIONS = ("minimize", "maximize")


def compose_valid_overrides(composer: Composer, words: Sequence[str], run_mode: RunMode) -> DictConfig | None:
    """Return what Hydra composes from the valid overrides.

    If the options that they choose are invalid, only the overrides of Hydra's own section are used; if these
    are invalid too, return None.
    """
    for texts in (words, [text for text in words if text.lstrip("+~").startswith("hydra")]):
        with suppress(Exception):
            return composer.compose_by_hydra(texts, run_mode, leave_sweeps_out=True)
    return None


def check_job(composed: DictConfig) -> Iterator[Violation]:
    """Yield the violations of ``hydra.callbacks``, ``hydra.verbose`` and ``hydra.job_logging``."""
    broken = [*find_unresolved(composed, *JOB_KEYS)]
    if broken:
        yield from broken
        return
    for name, callback in composed.hydra.callbacks.items():
        yield from _check_target(f"hydra.callbacks.{name}", callback)
    verbose = composed.hydra.verbose
    if not isinstance(verbose, (bool, str, ListConfig)):
        yield Violation("hydra.verbose", verbose, "must be true, false, or the names of loggers")
    yield from _check_log(composed, "job_logging")
    yield from _check_file_names(composed)


SWEEP_KEYS = ("mode", "launcher", "sweeper")
JOB_KEYS = ("job", "verbose", "output_subdir", "callbacks")
"""Keys of Hydra's section that it reads for each job, besides directory and logs."""


def check_references(composed: DictConfig, *parts: str) -> None:
    """Check that all references in parts of Hydra's section can be resolved.

    Raises:
        ConfigError: some cannot; it lists all of them.
    """
    found = [*find_unresolved(composed, *parts)]
    if found:
        raise ConfigError(found)


def find_unresolved(composed: DictConfig, *parts: str) -> Iterator[Violation]:
    """Yield the unresolvable references in parts of Hydra's section, except values that only a job has."""
    if not any("${" in str(raw(node_at(composed.hydra, part))) for part in parts):
        return
    HydraConfig.instance().set_config(copy.deepcopy(composed))  # for ${hydra:job.name}; set_config makes it read-only
    for part in parts:
        yield from _find_unresolved(composed.hydra, part, f"hydra.{part}")


def _find_unresolved(parent: DictConfig, name: Any, key: str) -> Iterator[Violation]:
    try:
        node = parent[name]
    except (MissingMandatoryValue, InterpolationToMissingValueError):
        return
    except Exception as error:  # a resolver can raise any error
        yield Violation(key, raw(node_at(parent, name)), f"cannot be resolved: {error_reason(error)}")
    else:
        for each in node if isinstance(node, DictConfig) else ():
            yield from _find_unresolved(node, each, f"{key}.{each!s}")


def files_of_job(composed: DictConfig) -> list[str]:
    """Return the relative paths of Hydra's files in a job's directory: copies of the config, and logs."""
    if any(find_unresolved(composed, *JOB_KEYS)):
        return []
    subdir = composed.hydra.output_subdir
    copies = [] if subdir is None else [f"{subdir}/{name}.yaml" for name in ("config", "hydra", "overrides")]
    return [*copies, *_log_paths(composed)]


def _log_paths(composed: DictConfig) -> Iterator[str]:
    """Yield the relative paths of a job's logs, if they are known before it has a directory."""
    logging: Any = OmegaConf.to_container(composed.hydra.job_logging, resolve=False)
    name = str(composed.hydra.job.name)
    for handler in (logging.get("handlers") or {}).values():
        path = str(handler.get("filename", "")).replace("${hydra.job.name}", name).replace("${hydra:job.name}", name)
        prefix, _, file = path.partition("}/")
        if prefix in ("${hydra.runtime.output_dir", "${hydra:runtime.output_dir") and "${" not in file:
            yield file


def _check_file_names(composed: DictConfig) -> Iterator[Violation]:
    """Yield the violations of file names: a log in a missing folder, a folder with the name of a log."""
    subdir, name = composed.hydra.output_subdir, str(composed.hydra.job.name)
    for log in _log_paths(composed):
        if subdir == log:
            yield Violation(
                "hydra.output_subdir", subdir, "is also the name of the log", remedy={"hydra.output_subdir": ".hydra"}
            )
        elif "/" in name and "/" in log:
            rule, last = f"is in the name of a file, the log {log}, and must have no /", name.rstrip("/").rpartition("/")[2]
            yield Violation("hydra.job.name", name, rule, remedy={"hydra.job.name": last} if last else {})


def check_launcher_and_sweeper(composed: DictConfig) -> None:
    """Check that a sweep has a launcher and a sweeper.

    Raises:
        ConfigError: ``hydra.launcher`` or ``hydra.sweeper`` is no section.
    """
    parts = (f"hydra.{name}" for name in ("launcher", "sweeper") if not isinstance(composed.hydra[name], Mapping))
    found = [
        Violation(part, composed.hydra[part[6:]], f"must be chosen as a group: {part.replace('.', '/')}=basic")
        for part in parts
    ]
    if found:
        raise ConfigError(found)


def check_sweep(composed: DictConfig) -> Iterator[Violation]:
    """Yield the violations of :func:`check_job` and of Hydra's launcher, sweeper and ``hydra_logging``."""
    yield from check_job(composed)
    broken = [*find_unresolved(composed, *SWEEP_KEYS)]
    if broken:
        yield from broken
        return
    for part in ("launcher", "sweeper"):
        yield from _check_target(f"hydra.{part}", composed.hydra[part])
    for name, alternative in AT_LEAST_ONE.items():
        count = composed.hydra.sweeper.get(name)
        if isinstance(count, int) and count < 1:
            yield Violation(f"hydra.sweeper.{name}", count, f"must be ≥ 1{alternative}")
    given = composed.hydra.sweeper.get("direction", ())
    directions = given if isinstance(given, ListConfig) else [given]
    if given and any(getattr(each, "name", each) not in DIRECTIONS for each in directions):
        yield Violation("hydra.sweeper.direction", given, f"must be {' or '.join(DIRECTIONS)}")
    yield from _check_log(composed, "hydra_logging")


def add_source(violation: Violation, overrides: Sequence[str], composer: Callable[[], Composer]) -> Violation:
    """Add the source to a violation of Hydra's own section, which provenance does not have."""
    typed_sources = {text.partition("=")[0].lstrip("+~"): command_line(text) for text in overrides}
    if violation.key == "hydra" and "hydra" in typed_sources:
        rule = "is Hydra's own section, which cannot be replaced or deleted; set its keys, as in hydra.run.dir=DIR"
        return dataclasses.replace(violation, rule=rule, source=typed_sources["hydra"], remedy={})
    if violation.source is not None:
        return violation
    outer_sources = [typed_sources[name] for name in typed_sources if f"{violation.key}.".startswith(f"{name}.")]
    inner_sources = [typed_sources[name] for name in typed_sources if name.startswith(f"{violation.key}.")]
    if len(inner_sources) > 1 and not outer_sources:  # several overrides: any of them may be the source
        inner_sources = [command_line()]
    source = next(iter([*outer_sources[-1:], *inner_sources]), None)
    if source is None and violation.key.startswith("hydra."):
        source = composer().hydra_source(violation.key, overrides)
    return dataclasses.replace(violation, source=source)


def _check_target(key: str, part: Any) -> Iterator[Violation]:
    """Yield a violation if the class in ``_target_`` cannot be imported."""
    target = part.get("_target_") if isinstance(part, Mapping) else None
    if not isinstance(target, str):
        return
    try:
        pkgutil.resolve_name(target)
    except Exception as error:  # its module can raise any error
        yield Violation(f"{key}._target_", target, f"cannot be imported: {error_reason(error)}")


def _check_log(composed: DictConfig, name: str) -> Iterator[Violation]:
    """Yield a violation if Hydra cannot set up a log; no file is written."""
    section = copy.deepcopy(composed.hydra[name])
    try:
        with read_write(section), open_dict(section), _preserve_logging():
            for handler in (section.get("handlers") or {}).values():
                if "filename" in handler:
                    handler.filename = os.devnull
                if str(handler.get("class")) == "logging.FileHandler":
                    handler.delay = True
            configure_log(section)
    except InterpolationToMissingValueError:  # a value that only a job of a sweep has
        return
    except Exception as error:  # a user's class can raise any error
        yield Violation(f"hydra.{name}", rule=format_log_error(error))


def format_log_error(error: Exception) -> str:
    """Return the rule of a log that cannot be set up, with the reason."""
    return f"cannot be set up: {error_reason(error.__cause__ or error)}"


@contextmanager
def _preserve_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
