"""The keys of a configuration class: its fields, and those of its sections by dotted name. Standard library only."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from gpt2hydra.config.errors import ABSENT
from gpt2hydra.config.fields import Rule

T = TypeVar("T")


def once_a_class(function: Callable[[type[Any]], T]) -> Callable[[type[Any]], T]:
    """``functools.cache`` for a function of a class; mypy does not take a class of dataclasses for hashable."""
    cached: Any = functools.cache(function)
    found: Callable[[type[Any]], T] = cached
    return found


@once_a_class
def fields_of(config_class: type[Any]) -> tuple[dataclasses.Field[Any], ...]:
    """The dataclass fields of a configuration class."""
    return dataclasses.fields(config_class)


def field_at(config_class: type[Any], key: str) -> dataclasses.Field[Any] | None:
    """The field that a dotted key names, or None."""
    name, _, rest = key.partition(".")
    for field in fields_of(config_class):
        if field.name == name:
            nested = field.metadata.get("section")
            if not rest:
                return field
            return field_at(nested, rest) if nested else None
    return None


def rule_at(config_class: type[Any], key: str) -> Rule | None:
    """What the value under a dotted key must obey; None where there is no such key, a section, or a computed value."""
    field = field_at(config_class, key)
    return field.metadata.get("rule") if field is not None else None


def keys_of(config_class: type[Any], prefix: str = "") -> Iterator[str]:
    """Every dotted key that can be set, in the order of the schema."""
    for field in fields_of(config_class):
        if "section" in field.metadata:
            yield from keys_of(field.metadata["section"], f"{prefix}{field.name}.")
        elif field.init:
            yield f"{prefix}{field.name}"


def place(config_class: type[Any], key: str) -> tuple[int, ...]:
    """Where a dotted key stands in the schema's order; unknown keys come last in their section."""
    name, _, rest = key.partition(".")
    for index, field in enumerate(fields_of(config_class)):
        if field.name == name:
            nested = field.metadata.get("section")
            return (index, *(place(nested, rest) if nested and rest else ()))
    return (len(fields_of(config_class)),)


def default_of(field: dataclasses.Field[Any]) -> Any:
    """The default of a field that is no section, or ABSENT."""
    return ABSENT if field.default is dataclasses.MISSING else field.default


def defaults_of(config_class: type[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``(dotted key, default)`` of every key that has a default, in the order of the schema."""
    for field in fields_of(config_class):
        if "section" in field.metadata:
            yield from defaults_of(field.metadata["section"], f"{prefix}{field.name}.")
        elif default_of(field) is not ABSENT:
            yield f"{prefix}{field.name}", default_of(field)


def leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """``(dotted key, value)`` of every leaf of a section, which is an instance or the values of one; ABSENT has none."""
    if value is ABSENT:
        return
    values = value if isinstance(value, Mapping) else {each.name: getattr(value, each.name) for each in fields_of(type(value))}
    for name, each in values.items():
        if isinstance(each, Mapping) or dataclasses.is_dataclass(each):
            yield from ((f"{name}.{key}", leaf) for key, leaf in leaves(each))
        else:
            yield name, each
