"""The keys of a configuration class: fields, and those of sections by dotted name. Standard library only.

A key is a name in YAML. The Python name of a field may differ (``key="lr-min"``): in the fields returned
here, ``field.name`` is the key, and :func:`attribute_of` returns the Python name.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from gpt2hydra.config.annotations import fields_by_annotation, is_pydantic_model
from gpt2hydra.config.errors import ABSENT
from gpt2hydra.config.value_rules import Anything, MappingOf, Rule

T = TypeVar("T")

TARGET_KEYS = ("_target_", "_partial_", "_recursive_", "_convert_")
"""Keys that ``hydra.utils.instantiate`` reads."""


def cache_by_class(function: Callable[[type[Any]], T]) -> Callable[[type[Any]], T]:
    """``functools.cache`` for a function of a class; mypy does not accept dataclasses as hashable."""
    cached: Any = functools.cache(function)
    found: Callable[[type[Any]], T] = cached
    return found


# -------------------------------------------------------------------------------------------------- fields of a class


@cache_by_class
def fields_of(config_class: type[Any]) -> tuple[dataclasses.Field[Any], ...]:
    """The fields of a ``Checked``, a plain dataclass or a pydantic model; ``field.name`` is the key."""
    if not hasattr(config_class, "EXTRA"):
        return tuple(fields_by_annotation(config_class))
    return tuple(_named_by_key(field) for field in dataclasses.fields(config_class) if "extra" not in field.metadata)


def _named_by_key(field: dataclasses.Field[Any]) -> dataclasses.Field[Any]:
    if "key" not in field.metadata:
        return field
    renamed = copy.copy(field)
    renamed.name, renamed.metadata = field.metadata["key"], MappingProxyType({**field.metadata, "attribute": field.name})
    return renamed


def attribute_of(field: dataclasses.Field[Any]) -> str:
    """The Python name of a field."""
    attribute: str = field.metadata.get("attribute", field.name)
    return attribute


@cache_by_class
def attribute_names(config_class: type[Any]) -> Mapping[str, str]:
    """Key → Python name of each field of a class."""
    return {each.name: attribute_of(each) for each in fields_of(config_class)}


def section_classes(field: dataclasses.Field[Any]) -> tuple[type[Any], ...]:
    """The classes that a section can have: one, or those of a union; empty for a field that holds a value."""
    if "section" in field.metadata:
        return (field.metadata["section"],)
    return tuple(field.metadata.get("variants", {}).values())


def doc_of(config_class: type[Any]) -> str:
    """The first line of a class's docstring; empty for the signature that ``dataclass`` writes."""
    doc = (vars(config_class).get("__doc__") or "").strip().partition("\n")[0]
    return "" if doc.startswith(f"{config_class.__name__}(") else doc


def is_open(config_class: type[Any]) -> bool:
    """Whether a class allows keys that are not fields in its section."""
    return getattr(config_class, "EXTRA", "forbid") == "allow"


def default_of(field: dataclasses.Field[Any]) -> Any:
    """The default of a field that is no section, or ABSENT."""
    return ABSENT if field.default is dataclasses.MISSING else field.default


# --------------------------------------------------------------------------------------------------------- dotted keys


def field_at(config_class: type[Any], key: str) -> dataclasses.Field[Any] | None:
    """The field of a dotted key, or None. For a section with several classes: of the first that has it."""
    return fields_by_key(config_class).get(key)


@cache_by_class
def fields_by_key(config_class: type[Any]) -> Mapping[str, dataclasses.Field[Any]]:
    """Dotted key → field, for sections and everything in them."""
    found = {}
    for field in fields_of(config_class):
        found[field.name] = field
        for nested in section_classes(field):
            for key, each in fields_by_key(nested).items():
                found.setdefault(f"{field.name}.{key}", each)
    return found


def rule_at(config_class: type[Any], key: str) -> Rule | None:
    """The rule of the value under a dotted key; None for an unknown key, a section, or a computed value."""
    field = field_at(config_class, key)
    if field is not None:
        return field.metadata.get("rule")
    around = rule_at(config_class, key.rpartition(".")[0]) if "." in key else None
    return around.element if isinstance(around, MappingOf) else None


def is_allowed_key(config_class: type[Any], key: str) -> bool:
    """Whether a key that is no field is allowed: in an open section, a mapping, or a field for any value."""
    name, _, rest = key.partition(".")
    field = field_at(config_class, name)
    if field is None:
        return is_open(config_class)
    if isinstance(field.metadata.get("rule"), (Anything, MappingOf)):
        return True
    if rest in field.metadata.get("ignored", ()):
        return True
    return bool(rest) and any(is_allowed_key(nested, rest) for nested in section_classes(field))


def is_in_checked_section(config_class: type[Any], key: str) -> bool:
    """Whether a dotted key belongs to a section that has a class, or to a class that checks all its keys."""
    if getattr(config_class, "HAS_SCHEMA", True):
        return True
    name, _, rest = key.partition(".")
    field = field_at(config_class, name)
    return field is not None and (not rest or any(is_in_checked_section(nested, rest) for nested in section_classes(field)))


def keys_of(config_class: type[Any], prefix: str = "") -> Iterator[str]:
    """Yield every dotted key that can be set, in the order of the schema."""
    for field in fields_of(config_class):
        if nested := section_classes(field):
            yield from dict.fromkeys(key for each in nested for key in keys_of(each, f"{prefix}{field.name}."))
        elif field.init:
            yield f"{prefix}{field.name}"


def sort_key(config_class: type[Any], key: str) -> tuple[int, ...]:
    """A sort key for a dotted key, in the order of the schema; unknown keys come last in their section."""
    name, _, rest = key.partition(".")
    for index, field in enumerate(fields_of(config_class)):
        if field.name == name.partition("[")[0]:
            classes = section_classes(field) if rest else ()
            nested = next((each for each in classes if field_at(each, rest)), next(iter(classes), None))
            return (index, *(sort_key(nested, rest) if nested is not None else ()))
    return (len(fields_of(config_class)),)


def values_of(config: Any) -> dict[str, Any]:
    """Key → value of the fields of a section's instance, and of the other keys that an open section holds."""
    values = {key: getattr(config, attribute) for key, attribute in attribute_names(type(config)).items()}
    return {**values, **(config.extra if is_open(type(config)) else {})}


def to_plain(value: Any) -> Any:
    """A stored value as YAML and JSON hold it: dictionaries for sections, lists for tuples."""
    if isinstance(value, Mapping):
        return {key: to_plain(each) for key, each in value.items()}
    if is_section(value):
        return {key: to_plain(each) for key, each in values_of(value).items() if each is not None or key not in TARGET_KEYS}
    return [to_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def is_section(value: Any) -> bool:
    """Whether a value is a section: a dictionary of values, or an instance."""
    return _is_section(type(value))


@cache_by_class
def _is_section(kind: type[Any]) -> bool:
    return kind is dict or dataclasses.is_dataclass(kind) or is_pydantic_model(kind)


def leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield ``(dotted key, value)`` for each leaf of a section, instance or dictionary; none for ABSENT."""
    if value is ABSENT:
        return
    for name, each in (value if isinstance(value, Mapping) else values_of(value)).items():
        if is_section(each):
            yield from ((f"{name}.{key}", leaf) for key, leaf in leaves(each))
        else:
            yield name, each


def settable_leaves(config_class: type[Any], value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the leaves that are not computed from others."""
    for key, each in leaves(value):
        known = field_at(config_class, key)
        if known is None or known.init:
            yield key, each
