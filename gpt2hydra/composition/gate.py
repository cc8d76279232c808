"""The gate behind which every configuration is valid: :func:`instantiate`, and what it finds."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, overload

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import (
    InterpolationKeyError,
    InterpolationResolutionError,
    InterpolationToMissingValueError,
    InterpolationValidationError,
    MissingMandatoryValue,
)

from gpt2hydra.composition.hydra_compat import full_key, is_mapping, raw_value
from gpt2hydra.composition.schema import class_of_schema, known_classes
from gpt2hydra.config.errors import ABSENT, ConfigError, Violation, command_line
from gpt2hydra.config.keys import field_at, fields_of, place
from gpt2hydra.config.validation import Checked, build, check, computed_rule, missing
from gpt2hydra.utils.formatting import reason_of

C = TypeVar("C", bound=Checked)

CANNOT_BE_DELETED = "cannot be deleted: every key of the schema has a value"


@overload
def instantiate(config: DictConfig) -> Any: ...
@overload
def instantiate(config: DictConfig, config_class: type[C]) -> C: ...
@overload
def instantiate(config: DictConfig, other: DictConfig, /, *more: DictConfig) -> tuple[Any, ...]: ...
@overload
def instantiate(config: DictConfig, other: DictConfig, /, *more: DictConfig, config_class: type[C]) -> tuple[C, ...]: ...
def instantiate(config: DictConfig, *others: Any, config_class: type[Checked] | None = None) -> Any:
    """The one gate: a composed config in, a valid immutable dataclass out; of several, a tuple, or one report on all.

    Args:
        config: composed by Hydra, or any ``DictConfig`` with the same keys. A ``hydra`` node is ignored.
        others: more of them, as the sections of one application: ``model, teacher = instantiate(cfg.model, cfg.teacher)``.
        config_class: what to make, of each; by default told by the schema that it was composed into, or by its keys.
            It may also stand second, behind a single ``config``.

    Raises:
        ConfigError: with every violation, of each.
        TypeError: one is no config at all, as a section that is null.
    """
    if len(others) == 1 and isinstance(others[0], type):
        (config_class,), others = others, ()
    looked_at = [_look_at(each, config_class) for each in (config, *others)]
    violations = [violation for _, _, found in looked_at for violation in found]
    if violations:
        raise ConfigError(violations)
    made = tuple(build(kind, values) for kind, values, _ in looked_at)
    return made if others else made[0]


def _look_at(config: DictConfig, config_class: type[Checked] | None) -> tuple[type[Checked], dict[str, Any], list[Violation]]:
    """What to make of a config: the class, the values, and every violation by its full key."""
    if not OmegaConf.is_config(config):
        raise TypeError(f"takes composed sections, as instantiate(cfg.model, cfg.teacher), not {config!r}")
    place, kind = full_key(config), config_class or config_class_of(config)
    if not is_mapping(config):  # null, '???', or an interpolation of nothing
        rule = f"must be a section with the keys of {kind.__name__}"
        return kind, {}, [Violation(place or kind.__name__, raw_value(config), rule)]
    values, violations = examine(config, kind)
    return kind, values, [each.below(place) if place else each for each in violations]


def examine(
    config: DictConfig, config_class: type[Checked], known_wrong: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], list[Violation]]:
    """Resolve ``config`` and check it: the values, and every violation in the schema's order."""
    try:
        given = {str(key): _resolved(config, key) for key in _keys(config)}
        broken: dict[str, Violation] = {}
    except Exception:  # whatever a resolver raises; found again and named, key by key
        given, broken = {}, {}
        for key in _keys(config):
            given[str(key)] = _resolve_each(config, key, str(key), config_class, broken)
    for path in [*broken]:
        if any(f"{path.rpartition('.')[0]}.{name}".lstrip(".") in broken for name in _inputs(field_at(config_class, path))):
            del broken[path]  # it follows from what is named already
    if class_of_schema(config) is config_class:  # composed, so that nothing is absent unless it was deleted
        for field in fields_of(config_class):
            if field.name not in given and field.name not in known_wrong:
                broken[field.name] = Violation(field.name, rule=CANNOT_BE_DELETED)
    values, violations = check(config_class, _without_absent(given), known_wrong=known_wrong | frozenset(broken))
    return values, in_order(config_class, _causes(config, [*violations, *broken.values()], known_wrong))


def set_by_hand(overrides: Iterable[Override], config_class: type[Checked]) -> list[Violation]:
    """Overrides of values that are computed; even the right value is no other than it would be without."""
    violations = []
    for override in overrides:
        field = field_at(config_class, override.key_or_group)
        if field is not None and "computed" in field.metadata:
            typed = command_line(override.input_line)
            violations.append(Violation(override.key_or_group, override.value(), computed_rule(field), typed))
    return violations


def _inputs(field: dataclasses.Field[Any] | None) -> tuple[str, ...]:
    return field.metadata.get("inputs", ()) if field is not None else ()


def _causes(config: DictConfig, violations: list[Violation], known: frozenset[str]) -> list[Violation]:
    """``violations`` without those of keys that only repeat another wrong one (``${model.n_positions}``).

    What came from the environment is shown as it was referred to: it may be a secret.
    """
    if not violations:
        return violations
    blamed, kept = known | {violation.key for violation in violations}, []
    written: Any = OmegaConf.to_container(config, resolve=False)
    for violation in violations:
        raw = _at(written, violation.key)
        if not _repeats(written, violation.key, blamed):
            secret = isinstance(raw, str) and "${oc.env:" in raw
            kept.append(dataclasses.replace(violation, value=raw) if secret else violation)
    return kept


def _repeats(written: Mapping[str, Any], key: str, blamed: frozenset[str] | set[str]) -> bool:
    """Whether ``key`` refers, in the end, to another wrong one; a circle of references is wrong in each of its keys."""
    seen = {key}
    while True:
        target = _REFERENCE.fullmatch(str(_at(written, key)))
        wrong = {each for each in blamed if target and f"{target[1]}.".startswith(f"{each}.")}
        if target is None or not wrong - {key}:
            return len(seen) > 1
        key = target[1]
        if key in seen:
            return False
        seen.add(key)


_REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def _at(written: Mapping[str, Any], key: str) -> Any:
    """The value under a dotted key, interpolations not resolved; None where there is none."""
    value: Any = written
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def in_order(config_class: type[Checked], violations: list[Violation]) -> list[Violation]:
    """``violations`` in the order of the schema."""
    return sorted(violations, key=lambda violation: place(config_class, violation.key))


def config_class_of(config: DictConfig) -> type[Checked]:
    """The configuration class that a config is for: that of the schema it was composed into, else the one most like it."""
    keys = set(_keys(config)) if is_mapping(config) else set()
    return class_of_schema(config) or max(
        known_classes(), key=lambda each: len(keys & {field.name for field in fields_of(each)})
    )


def _keys(config: DictConfig) -> list[Any]:
    return [key for key in config if key != "hydra"]


def _resolved(config: DictConfig, key: Any) -> Any:
    node = config[key]
    return OmegaConf.to_container(node, resolve=True, throw_on_missing=True) if OmegaConf.is_config(node) else node


def _resolve_each(config: DictConfig, key: Any, path: str, root: type[Checked], broken: dict[str, Violation]) -> Any:
    """The value under ``key`` with every leaf that cannot be had put into ``broken`` instead."""
    try:
        node = config[key]
    except Exception as error:  # resolvers raise what they like
        broken[path] = _unresolvable(config, key, path, root, error)
        return ABSENT
    if isinstance(node, DictConfig):
        return {str(name): _resolve_each(node, name, f"{path}.{name!s}", root, broken) for name in node}
    if isinstance(node, ListConfig):
        try:
            return OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
        except Exception as error:
            broken[path] = _unresolvable(config, key, path, root, error)
            return ABSENT
    return node


def _without_absent(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_absent(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not ABSENT
    }


def _unresolvable(config: DictConfig, key: Any, path: str, root: type[Checked], error: Exception) -> Violation:
    field = field_at(root, path)
    raw = OmegaConf.to_container(config, resolve=False)[key]  # type: ignore[index]
    if isinstance(error, MissingMandatoryValue):
        if field is None:
            return Violation(path, "???", "must be given")
        return missing(path, field)
    if isinstance(error, InterpolationValidationError) and field is not None and "rule" in field.metadata:
        rule = f"must be {field.metadata['rule']}, which what it refers to is not"
    elif isinstance(error, InterpolationToMissingValueError):
        rule = "refers to a value that is not given"
    elif isinstance(error, InterpolationKeyError):
        rule = "refers to a key that does not exist"
    elif isinstance(error, RecursionError) or "Recursive interpolation" in str(error):
        rule = "refers to itself"
    elif isinstance(error, InterpolationResolutionError) and "Environment variable" in str(error):
        rule = "refers to an environment variable that is not set"
    else:
        rule = f"cannot be resolved: {reason_of(error)}"
    return Violation(path, raw, rule)
