"""The keys of a configuration class: its fields, and those of its sections by dotted name. Standard library only.

A key has the name that YAML uses. Where Python's is another (``key="lr-min"``), the fields here bear that of
YAML, and :func:`attribute_of` knows Python's.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from gpt2hydra.config.annotations import fields_by_annotation, is_model
from gpt2hydra.config.errors import ABSENT
from gpt2hydra.config.rules import Anything, MappingOf, Rule

T = TypeVar("T")

TARGET_KEYS = ("_target_", "_partial_", "_recursive_", "_convert_")
"""Keys that ``hydra.utils.instantiate`` reads."""


def once_a_class(function: Callable[[type[Any]], T]) -> Callable[[type[Any]], T]:
    """``functools.cache`` for a function of a class; mypy does not take a class of dataclasses for hashable."""
    cached: Any = functools.cache(function)
    found: Callable[[type[Any]], T] = cached
    return found


# -------------------------------------------------------------------------------------------------- fields of a class


@once_a_class
def fields_of(config_class: type[Any]) -> tuple[dataclasses.Field[Any], ...]:
    """The fields of a configuration class, of a plain dataclass, or of a pydantic model, each under the name of its key."""
    if not hasattr(config_class, "EXTRA"):
        return tuple(fields_by_annotation(config_class))
    return tuple(_by_key(field) for field in dataclasses.fields(config_class) if "extra" not in field.metadata)


def _by_key(field: dataclasses.Field[Any]) -> dataclasses.Field[Any]:
    if "key" not in field.metadata:
        return field
    renamed = copy.copy(field)
    renamed.name, renamed.metadata = field.metadata["key"], MappingProxyType({**field.metadata, "attribute": field.name})
    return renamed


def attribute_of(field: dataclasses.Field[Any]) -> str:
    """The name in Python of a field."""
    attribute: str = field.metadata.get("attribute", field.name)
    return attribute


@once_a_class
def attributes(config_class: type[Any]) -> Mapping[str, str]:
    """Key → Python's name of each field of a class."""
    return {each.name: attribute_of(each) for each in fields_of(config_class)}


def sections_of(field: dataclasses.Field[Any]) -> tuple[type[Any], ...]:
    """The classes that a section may become: one, or those of a union; none where the field holds a value."""
    if "section" in field.metadata:
        return (field.metadata["section"],)
    return tuple(field.metadata.get("variants", {}).values())


def doc_of(config_class: type[Any]) -> str:
    """The first line of a class's docstring; empty where there is none but the signature that ``dataclass`` writes."""
    doc = (vars(config_class).get("__doc__") or "").strip().partition("\n")[0]
    return "" if doc.startswith(f"{config_class.__name__}(") else doc


def is_open(config_class: type[Any]) -> bool:
    """Whether keys that are no fields of a class may stand in its section."""
    return getattr(config_class, "EXTRA", "forbid") == "allow"


def default_of(field: dataclasses.Field[Any]) -> Any:
    """The default of a field that is no section, or ABSENT."""
    return ABSENT if field.default is dataclasses.MISSING else field.default


# --------------------------------------------------------------------------------------------------------- dotted keys


def field_at(config_class: type[Any], key: str) -> dataclasses.Field[Any] | None:
    """The field that a dotted key names, or None. Where a section may become several classes, of the first that has one."""
    return fields_by_key(config_class).get(key)


@once_a_class
def fields_by_key(config_class: type[Any]) -> Mapping[str, dataclasses.Field[Any]]:
    """Every field by its dotted key, sections and what they hold."""
    found = {}
    for field in fields_of(config_class):
        found[field.name] = field
        for nested in sections_of(field):
            for key, each in fields_by_key(nested).items():
                found.setdefault(f"{field.name}.{key}", each)
    return found


def rule_at(config_class: type[Any], key: str) -> Rule | None:
    """What the value under a dotted key must obey; None where there is no such key, a section, or a computed value."""
    field = field_at(config_class, key)
    if field is not None:
        return field.metadata.get("rule")
    around = rule_at(config_class, key.rpartition(".")[0]) if "." in key else None
    return around.element if isinstance(around, MappingOf) else None


def may_stand(config_class: type[Any], key: str) -> bool:
    """Whether a dotted key that is no field may stand there: in an open section, a mapping, or below a value of any kind."""
    name, _, rest = key.partition(".")
    field = field_at(config_class, name)
    if field is None:
        return is_open(config_class)
    if isinstance(field.metadata.get("rule"), (Anything, MappingOf)):
        return True
    if rest in field.metadata.get("ignored", ()):
        return True
    return bool(rest) and any(may_stand(nested, rest) for nested in sections_of(field))


def is_checked(config_class: type[Any], key: str) -> bool:
    """Whether a dotted key is of a section that has a class, and not of what stands around such sections."""
    if getattr(config_class, "HAS_SCHEMA", True):
        return True
    name, _, rest = key.partition(".")
    field = field_at(config_class, name)
    return field is not None and (not rest or any(is_checked(nested, rest) for nested in sections_of(field)))


def keys_of(config_class: type[Any], prefix: str = "") -> Iterator[str]:
    """Every dotted key that can be set, in the order of the schema."""
    for field in fields_of(config_class):
        if nested := sections_of(field):
            yield from dict.fromkeys(key for each in nested for key in keys_of(each, f"{prefix}{field.name}."))
        elif field.init:
            yield f"{prefix}{field.name}"


def place(config_class: type[Any], key: str) -> tuple[int, ...]:
    """Where a dotted key stands in the schema's order; unknown keys come last in their section."""
    name, _, rest = key.partition(".")
    for index, field in enumerate(fields_of(config_class)):
        if field.name == name.partition("[")[0]:
            classes = sections_of(field) if rest else ()
            nested = next((each for each in classes if field_at(each, rest)), next(iter(classes), None))
            return (index, *(place(nested, rest) if nested is not None else ()))
    return (len(fields_of(config_class)),)


def values_of(config: Any) -> dict[str, Any]:
    """Key → value of a section's own fields, and of the other keys that an open one holds."""
    values = {key: getattr(config, attribute) for key, attribute in attributes(type(config)).items()}
    return {**values, **(config.extra if is_open(type(config)) else {})}


def to_plain(value: Any) -> Any:
    """A stored value in what YAML and JSON hold: sections as dictionaries, tuples as lists."""
    if isinstance(value, Mapping):
        return {key: to_plain(each) for key, each in value.items()}
    if is_section(value):
        return {key: to_plain(each) for key, each in values_of(value).items() if each is not None or key not in TARGET_KEYS}
    return [to_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def is_section(value: Any) -> bool:
    """Whether a value is a section: the values of one, or what became of them."""
    return _is_section(type(value))


@once_a_class
def _is_section(kind: type[Any]) -> bool:
    return kind is dict or dataclasses.is_dataclass(kind) or is_model(kind)


def leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """``(dotted key, value)`` of every leaf of a section, which is an instance or the values of one; ABSENT has none."""
    if value is ABSENT:
        return
    for name, each in (value if isinstance(value, Mapping) else values_of(value)).items():
        if is_section(each):
            yield from ((f"{name}.{key}", leaf) for key, leaf in leaves(each))
        else:
            yield name, each


def settable_leaves(config_class: type[Any], value: Any) -> Iterator[tuple[str, Any]]:
    """Those leaves that are not computed from others."""
    for key, each in leaves(value):
        known = field_at(config_class, key)
        if known is None or known.init:
            yield key, each
