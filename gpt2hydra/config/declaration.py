"""Mistakes in the declaration of a configuration class. They are reported before any value is checked.

Standard library only.
"""

from __future__ import annotations

import dataclasses
import keyword
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from gpt2hydra.config.keys import TARGET_KEYS, attribute_of, field_at, fields_of, keys_of
from gpt2hydra.config.validators import is_validator, validators_of
from gpt2hydra.config.value_rules import Rule, Scalar
from gpt2hydra.utils.formatting import did_you_mean, format_value

HYDRA_KEYS = ("hydra", "defaults")
"""Keys that have a meaning for Hydra anywhere in a file."""

YAML_WORDS = ("yes", "no", "on", "off", "true", "false", "null")
"""Keys that YAML 1.1 reads as a boolean or null."""


def find_mistakes(config_class: type[Any], methods: Collection[str]) -> list[str]:
    """Return a sentence for each mistake in the declaration of a configuration class.

    ``methods`` are names that no field may have, because it would hide a method that all configurations have.
    """
    undecorated = _check_decorator(config_class)
    if undecorated:
        return [undecorated]
    fields = fields_of(config_class)
    found = [f"field {attribute_of(field)} {mistake}" for field in fields for mistake in _check_field(config_class, field)]
    taken = [attribute_of(field) for field in fields if attribute_of(field) in methods]
    found += [f"field {name} has the name of a method; choose another" for name in taken]
    found = found or [*_check_defaults(fields)]
    if found:
        return found
    relations = [each for base in config_class.__mro__ for each in vars(base).get("RELATIONS", ())]
    found = [f"RELATIONS holds {each!r}, which is not declared with @relation" for each in relations if not is_validator(each)]
    named = {each.key: each.name for each in validators_of(config_class) if field_at(config_class, each.key) is None}
    known = [*keys_of(config_class)]
    return found + [f"{name} names {key}, which is no field{did_you_mean(key, known)}" for key, name in named.items()]


def _check_decorator(config_class: type[Any]) -> str:
    """Return a message unless a class is a frozen dataclass, or derives from one and declares no field."""
    own = vars(config_class)
    if "__dataclass_params__" in own:
        return "" if own["__dataclass_params__"].frozen else "must be decorated with @dataclass(frozen=True)"
    inherited = {attribute_of(field) for field in fields_of(config_class)} if dataclasses.is_dataclass(config_class) else set()
    declared = [name for name, each in own.items() if isinstance(each, dataclasses.Field) or name in inherited]
    annotated = [name for name, each in own.get("__annotations__", {}).items() if "ClassVar" not in str(each)]
    if declared or annotated or not dataclasses.is_dataclass(config_class):
        return "must be decorated with @dataclass(frozen=True)"
    return _check_decorator(config_class.__base__) if config_class.__base__ is not None else ""


def _check_field(config_class: type[Any], field: dataclasses.Field[Any]) -> Iterator[str]:
    yield from _check_name(field)
    metadata = field.metadata
    if not metadata.keys() & {"rule", "section", "variants", "computed"}:
        yield (
            "has no rule; declare it with integer(), number(), flag(), text(), choice(), items(), mapping(), either(), "
            "anything(), section(), union() or computed()"
        )
    elif "computed" in metadata:
        for name in metadata["inputs"]:
            if field_at(config_class, name) is None:
                yield f"is computed from {name}, which is no field{did_you_mean(name, keys_of(config_class))}"
    elif "rule" in metadata:
        rule: Rule = metadata["rule"]
        kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "")
        if kind in ("int", "float", "bool", "str") and kind != rule.kind.__name__:
            wanted = f"{Scalar.NAMES[rule.kind]}: {rule.kind.__name__}" if rule.kind in Scalar.NAMES else str(rule)
            yield f"is annotated {kind}, but its rule requires {wanted}"


def _check_defaults(fields: Iterable[dataclasses.Field[Any]]) -> Iterator[str]:
    for field in fields:
        if "rule" in field.metadata and field.default is not dataclasses.MISSING:
            for each in field.metadata["rule"].all_problems(field.default):
                yield f"the default {field.name}{each.path} = {format_value(each.value)} {each.rule}"


def _check_name(field: dataclasses.Field[Any]) -> Iterator[str]:
    name = field.name
    if name in HYDRA_KEYS or name.lower() in YAML_WORDS:
        yield f"has a name that {'Hydra' if name in HYDRA_KEYS else 'YAML'} reads with another meaning; choose another"
    elif name not in TARGET_KEYS and not re.fullmatch(r"[A-Za-z][\w-]*", name, re.ASCII):
        yield "has a name that Hydra does not accept: use ASCII letters, digits, _ and -, a letter first"


def is_identifier(name: str) -> bool:
    """Whether a name can be an attribute in Python that a dataclass declares."""
    return name.isidentifier() and not keyword.iskeyword(name)
