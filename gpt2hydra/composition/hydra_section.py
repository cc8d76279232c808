"""Check Hydra's own config: ``hydra.run.dir=x`` on the command line, ``hydra:`` in a file."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override, OverrideType
from hydra.core.utils import JobRuntime
from omegaconf import DictConfig, OmegaConf

from gpt2hydra.composition.hydra_compat import MODE_BEFORE_COMPOSING
from gpt2hydra.composition.hydra_loader import Repository, user_file
from gpt2hydra.composition.layers import Layer
from gpt2hydra.composition.overrides import Overrides
from gpt2hydra.config.errors import ABSENT, Source, Violation, command_line
from gpt2hydra.utils.formatting import closest, error_reason
from gpt2hydra.utils.quoting import RawOverride

Compose = Callable[..., DictConfig]


class FileSection(NamedTuple):
    """The ``hydra:`` section of a file."""

    section: Layer
    of_primary: bool
    """Whether the file is the primary config."""


def depends_on_plugins(section: Layer) -> bool:
    """Return whether a ``hydra:`` section sets a launcher or sweeper, whose keys only Hydra knows."""
    return isinstance(section.value, dict) and not {"launcher", "sweeper"}.isdisjoint(section.value)


@functools.lru_cache(maxsize=256)
def check_file_section(section: Layer, *, is_primary: bool) -> list[Violation]:
    """Return the violations in the ``hydra:`` section of a file."""
    if not isinstance(section.value, dict):
        return [Violation("hydra", section.value, "is Hydra's own section; set its keys", section.source)]
    search = section.value.get("searchpath")
    if search is not None and not is_primary:
        return [Violation("hydra.searchpath", search.value, "is read only in the primary config", search.source)]
    try:
        OmegaConf.merge(_schema(), section.plain)
    except Exception:
        return [*_check_keys(section)]
    return []


def check_mode(sections: Sequence[FileSection], overrides: Overrides) -> Iterator[Violation]:
    """Yield a violation if a file sets a ``hydra.mode`` that Hydra ignores: not the primary config's.

    ``sections`` are in the order in which they are merged.
    """
    asked = [(section.value["mode"], primary) for section, primary in sections if _has_mode(section)]
    typed = any(each.key_or_group == "hydra.mode" for each in overrides.hydra)
    if not MODE_BEFORE_COMPOSING or typed or not asked:
        return
    mode, _ = asked[-1]
    of_primary = [each.value for each, primary in asked if primary] or ["RUN"]
    if mode.value != of_primary[-1]:
        yield Violation("hydra.mode", mode.value, "must be set in the primary config, or on the command line", mode.source)


def _has_mode(section: Layer) -> bool:
    return isinstance(section.value, dict) and "mode" in section.value


@functools.cache
def _schema() -> DictConfig:
    """Return the cached schema of the section (do not change it): Hydra's classes, and mappings for logs."""
    mappings: dict[str, Any] = {"formatters": {}, "handlers": {}, "loggers": {}, "root": {}}
    schema: DictConfig = ConfigStore.instance().load("hydra/config.yaml").node
    schema.job_logging = schema.hydra_logging = mappings
    return schema


_PREDICTABLE_KEYS = {"job", "job_logging", "hydra_logging", "help", "hydra_help", "output_subdir"}


def default_section(repository: Repository, sections: Sequence[Layer]) -> DictConfig | None:
    """Return a config with Hydra's default section and the job and log settings of ``sections``.

    It has the output folder and the log of a run without a composition by Hydra; None if other settings may
    change these.
    """
    defaults = ("hydra/output/default", "hydra/job_logging/default")
    is_predictable = all(isinstance(each.value, dict) and each.value.keys() <= _PREDICTABLE_KEYS for each in sections)
    if not is_predictable or any(user_file(repository, name) is not None for name in defaults):
        return None
    output, log = (repository.load_config(name) for name in defaults)
    if output is None or log is None:
        return None
    node: Any = copy.deepcopy(_schema())
    node.job_logging = log.config
    node.merge_with(output.config, *(each.plain for each in sections))
    if OmegaConf.is_missing(node.job, "name"):
        node.job.name = JobRuntime.instance().get("name")
    return OmegaConf.create({"hydra": node})


def source_in_files(key: str, sections: Sequence[Layer]) -> Source | None:
    """Return the source of a key of Hydra's section in files, or None if no file set it."""
    found = (_layer_at(section, key.split(".")[1:]) for section in reversed(sections))
    return next((layer.source for layer in found if layer is not None), None)


def _layer_at(layer: Layer, path: Sequence[str]) -> Layer | None:
    """Return the layer of a key, or of a value that contains it (``run: ${x}`` for ``run.dir``); else None."""
    for name in path:
        if not isinstance(layer.value, dict):
            return layer
        if name not in layer.value:
            return None
        layer = layer.value[name]
    return layer


def _check_keys(section: Layer) -> Iterator[Violation]:
    known = copy.deepcopy(_schema())
    for path, leaf in section.leaves():
        try:
            known.merge_with(functools.reduce(lambda inner, key: {key: inner}, reversed(path), leaf.value))
        except Exception as error:
            key = ".".join(map(str, ("hydra", *path)))
            yield Violation(key, leaf.value, f"is not accepted by Hydra: {error_reason(error)}", leaf.source)


def check_hydra_overrides(overrides: Overrides, compose: Compose) -> Sequence[Violation]:
    """Return the violations of overrides of Hydra's own config.

    ``compose`` composes them together; if that fails, each separately.
    """
    if not overrides.hydra:
        return ()
    plugins = [each.input_line or "" for each in overrides.choices if each.key_or_group.startswith("hydra/")]
    typed = [each.input_line or "" for each in overrides.hydra]
    try:
        compose([*plugins, *typed], leave_sweeps_out=True)
    except Exception:
        return [each for override in overrides.hydra for each in _check_override(override, plugins, compose)]
    return ()


def _check_override(override: Override, plugins: list[str], compose: Compose) -> Iterator[Violation]:
    try:
        compose([*plugins, override.input_line or ""], leave_sweeps_out=True)
    except Exception as error:
        try:
            known = compose(plugins).hydra
        except Exception:  # the error is not in an override
            return
        yield _violation(override, error, known)


def _violation(override: Override, error: Exception, known: Any) -> Violation:
    key, value, typed = override.get_key_element(), override.get_value_element_as_str(), command_line(override.input_line)
    *sections, last = key.lstrip("+~").split(".")[1:] or [""]
    for section in sections:
        known = known.get(section) if isinstance(known, DictConfig) and section in known else {}
    exists = isinstance(known, DictConfig) and last in known.keys()  # noqa: SIM118  a key with ??? exists too
    if override.is_delete():
        rule = "cannot be deleted: Hydra needs it" if exists else "cannot be deleted: there is no such key"
        return Violation(key.lstrip("~"), ABSENT, rule, typed, action="deleted")
    if not isinstance(known, DictConfig) or exists:
        return Violation(key, value, f"is not accepted by Hydra: {error_reason(error.__cause__ or error).rstrip('.')}", typed)
    if OmegaConf.get_type(known) is dict and override.type is OverrideType.CHANGE:  # it may have any key
        return Violation(key, value, "is a new key and needs a plus", typed, {f"+{key}": RawOverride(value)})
    near = closest(last, map(str, known))
    meant = ".".join(["hydra", *sections, near or ""])
    rule = f"unknown key of Hydra's own config{f'; did you mean {meant}?' if near else ''}"
    return Violation(key, value, rule, typed, {meant: RawOverride(value)} if near else {})
