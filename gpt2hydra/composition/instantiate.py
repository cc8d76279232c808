"""The gate for any composed config, behind which every configuration is valid: :func:`instantiate`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, overload

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf

from gpt2hydra.composition.hydra_compat import full_key, is_mapping, raw_value, root_of
from gpt2hydra.composition.job import provenance_of_job
from gpt2hydra.composition.validate import config_class_of, examine
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.sections import check_section_class
from gpt2hydra.config.validation import Checked, build

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


class JobConfigError(ConfigError, CompactHydraException):
    """A :class:`ConfigError` within a job of Hydra's, which prints it without a traceback."""


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
    """Check composed configs, and make each a valid immutable dataclass; of several, a tuple, or one report.

    Each section may be followed by its class:
    ``model, optim = instantiate(cfg.model, Net, cfg.optim, Optim)``.

    Args:
        config: composed by Hydra, or any ``DictConfig`` with the same keys. A ``hydra`` node is ignored, and
            so is what ``hydra.utils.instantiate`` reads (``_target_``) where the class has no field for it.
        others: more of them, as the sections of one application:
            ``model, teacher = instantiate(cfg.model, cfg.teacher)``.
        config_class: what to make, of each that has no class behind it: a ``Checked``, a dataclass, or a
            pydantic model. By default named by the schema that a config was composed into, or by its keys.

    Raises:
        ConfigError: with every violation, of each; within a job of Hydra's, with who set each value.
        TypeError: one is no config at all, as a section that is null; or a class cannot be a section.
    """
    pairs = _with_classes((config, *others), config_class)
    looked_at = [_look_at(each, kind) for each, kind in pairs]
    violations = [violation for _, _, found in looked_at for violation in found]
    if violations and HydraConfig.initialized():
        raise JobConfigError(_with_sources(config, violations))
    if violations:
        raise ConfigError(violations)
    made = tuple(build(kind, values) for kind, values, _ in looked_at)
    return made if len(made) > 1 else made[0]


def _with_classes(arguments: Iterable[Any], usual: type[Any] | None) -> list[tuple[Any, type[Any] | None]]:
    """Each config with the class that follows it."""
    pairs: list[tuple[Any, type[Any] | None]] = []
    for each in arguments:
        if isinstance(each, type):
            check_section_class(each)
            pairs[-1] = (pairs[-1][0], each)
        else:
            pairs.append((each, usual))
    return pairs


def _look_at(config: DictConfig, config_class: type[Any] | None) -> tuple[type[Checked], dict[str, Any], list[Violation]]:
    """What to make of a config: the class, the values, and every violation by its full key."""
    if not OmegaConf.is_config(config):
        raise TypeError(f"takes composed sections, as instantiate(cfg.model, cfg.teacher), not {config!r}")
    place, kind = full_key(config), config_class or config_class_of(config)
    if not is_mapping(config):  # null, '???', or an interpolation of nothing
        rule = f"must be a section with the keys of {kind.__name__}"
        return kind, {}, [Violation(place or kind.__name__, raw_value(config), rule)]
    values, violations = examine(config, kind, place)
    return kind, values, violations


def _with_sources(config: DictConfig, violations: Sequence[Violation]) -> Sequence[Violation]:
    """``violations`` with who set each value, where ``config`` is of the Hydra job that runs here."""
    try:
        provenance = provenance_of_job()
        provenance.verify(root_of(config))
    except Exception:  # the report is as right without
        return violations
    traced = map(provenance.blame, violations)
    return [dataclasses.replace(each, source=None) if _is_untraced(each) else each for each in traced]


def _is_untraced(violation: Violation) -> bool:
    return violation.source is not None and violation.source.kind == "untraced"
