"""Convert composed configs into valid configurations: :func:`instantiate`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, overload

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf

from gpt2hydra.composition.hydra_compat import full_key, is_mapping, raw_value, root_of
from gpt2hydra.composition.job import provenance_of_job
from gpt2hydra.composition.validate import config_class_of, validate_composed
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.sections import check_section_class
from gpt2hydra.config.validation import Checked, build

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


class JobConfigError(ConfigError, CompactHydraException):
    """A :class:`ConfigError` in a Hydra job. Hydra 1.3 prints no traceback; 1.4 adds a line about the job."""


@overload
def instantiate(config: DictConfig) -> Any: ...
@overload
def instantiate(config: DictConfig, config_class: type[A], /) -> A: ...
@overload
def instantiate(config: DictConfig, *, config_class: type[A]) -> A: ...
@overload
def instantiate(config: DictConfig, a: type[A], other: DictConfig, b: type[B], /) -> tuple[A, B]: ...
@overload
def instantiate(
    config: DictConfig, a: type[A], other: DictConfig, b: type[B], third: DictConfig, c: type[C], /
) -> tuple[A, B, C]: ...
@overload
def instantiate(config: DictConfig, other: DictConfig, /, *more: DictConfig) -> tuple[Any, ...]: ...
@overload
def instantiate(config: DictConfig, other: DictConfig, /, *more: DictConfig, config_class: type[A]) -> tuple[A, ...]: ...
@overload
def instantiate(config: DictConfig, /, *others: DictConfig | type[Any]) -> Any: ...
def instantiate(config: DictConfig, *others: Any, config_class: type[Any] | None = None) -> Any:
    """Convert a composed config into a valid, immutable dataclass; several configs into a tuple.

    Each config may be followed by its class:
    ``model, optim = instantiate(cfg.model, Net, cfg.optim, Optim)``.

    Args:
        config: a config composed by Hydra, or any ``DictConfig`` with the same keys. A ``hydra`` node is
            ignored. Keys of ``hydra.utils.instantiate`` (``_target_``) that are no field are ignored too.
        others: more configs, for example the sections of an application:
            ``model, teacher = instantiate(cfg.model, cfg.teacher)``.
        config_class: the class of each config that is not followed by one: a ``Checked``, a dataclass or a
            pydantic model. By default the class of its schema, or the known class with the most of its keys.

    Raises:
        ConfigError: with every violation of all configs; in a Hydra job, with the source of each value.
        TypeError: an argument is not a config (such as a null section), or a class cannot be a section.
    """
    pairs = _pair_with_classes((config, *others), config_class)
    checked = [_check_config(each, kind) for each, kind in pairs]
    violations = [violation for _, _, found in checked for violation in found]
    if violations and HydraConfig.initialized():
        raise JobConfigError(_add_sources(config, violations))
    if violations:
        raise ConfigError(violations)
    made = tuple(build(kind, values) for kind, values, _ in checked)
    return made if len(made) > 1 else made[0]


def _pair_with_classes(arguments: Iterable[Any], default_class: type[Any] | None) -> list[tuple[Any, type[Any] | None]]:
    """Return each config with the class that follows it, or the default class."""
    pairs: list[tuple[Any, type[Any] | None]] = []
    for each in arguments:
        if isinstance(each, type):
            check_section_class(each)
            pairs[-1] = (pairs[-1][0], each)
        else:
            pairs.append((each, default_class))
    return pairs


def _check_config(config: DictConfig, config_class: type[Any] | None) -> tuple[type[Checked], dict[str, Any], list[Violation]]:
    """Return the class, the values, and every violation (with its full key) of a config."""
    if not OmegaConf.is_config(config):
        raise TypeError(f"takes composed sections, as instantiate(cfg.model, cfg.teacher), not {config!r}")
    place, kind = full_key(config), config_class or config_class_of(config)
    if not is_mapping(config):  # null, '???', or a broken interpolation
        rule = f"must be a section with the keys of {kind.__name__}"
        return kind, {}, [Violation(place or kind.__name__, raw_value(config), rule)]
    values, violations = validate_composed(config, kind, place)
    return kind, values, violations


def _add_sources(config: DictConfig, violations: Sequence[Violation]) -> Sequence[Violation]:
    """Return ``violations`` with sources if ``config`` is a part of the running job's config, else unchanged."""
    try:
        provenance = provenance_of_job()
        provenance.correct_from(root_of(config))
    except Exception:  # the report is correct without sources too
        return violations
    traced = map(provenance.add_source, violations)
    return [dataclasses.replace(each, source=None) if _is_untraced(each) else each for each in traced]


def _is_untraced(violation: Violation) -> bool:
    return violation.source is not None and violation.source.kind == "untraced"
