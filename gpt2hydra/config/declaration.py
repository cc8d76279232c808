"""What is wrong with a configuration class itself: mistakes of its author, told before any value is looked at.

Standard library only.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator
from typing import Any

from gpt2hydra.config.fields import Relation, Rule
from gpt2hydra.config.keys import field_at, fields_of, keys_of, once_a_class
from gpt2hydra.utils.formatting import did_you_mean

HYDRAS_WORDS = ("hydra", "defaults")
"""Keys that mean something to Hydra wherever they stand in a file."""

YAMLS_WORDS = ("yes", "no", "on", "off", "true", "false", "null")
"""Keys that YAML does not read as text."""


@once_a_class
def relations_of(config_class: type[Any]) -> tuple[Relation, ...]:
    """The relations of a class: those of its bases first. A class adds to them, it cannot lose one."""
    bases = reversed(config_class.__mro__)
    return tuple(dict.fromkeys(each for base in bases for each in vars(base).get("RELATIONS", ())))


def mistakes(config_class: type[Any], methods: Collection[str]) -> list[str]:
    """Every mistake in the declaration of a configuration class, in words, but for those of its defaults.

    ``methods`` are names that no field may have, since it would hide what all configurations can do.
    """
    parameters = vars(config_class).get("__dataclass_params__")
    if parameters is None or not parameters.frozen:
        return ["must be decorated with @dataclass(frozen=True)"]
    fields = fields_of(config_class)
    found = [f"field {field.name} {mistake}" for field in fields for mistake in _of_field(config_class, field)]
    found += [f"field {field.name} has the name of a method; choose another" for field in fields if field.name in methods]
    return found or [mistake for each in relations_of(config_class) for mistake in _of_relation(config_class, each)]


def _of_field(config_class: type[Any], field: dataclasses.Field[Any]) -> Iterator[str]:
    if field.name in HYDRAS_WORDS or field.name.lower() in YAMLS_WORDS:
        yield f"has a name that {'Hydra' if field.name in HYDRAS_WORDS else 'YAML'} reads otherwise; choose another"
    elif not re.fullmatch(r"[A-Za-z]\w*", field.name, re.ASCII):
        yield "has a name that Hydra cannot hold: letters of ASCII, digits and _, a letter first"
    if not field.metadata.keys() & {"rule", "section", "computed"}:
        yield "has no rule; declare it with integer(), number(), flag(), text(), choice(), section() or computed()"
    elif "computed" in field.metadata:
        for name in field.metadata["inputs"]:
            if field_at(config_class, name) is None:
                yield f"is computed from {name}, which is no field{did_you_mean(name, keys_of(config_class))}"
    elif "rule" in field.metadata:
        rule: Rule = field.metadata["rule"]
        kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "")
        if kind in ("int", "float", "bool", "str") and kind != rule.kind.__name__:
            yield f"is annotated {kind}, and its rule wants {rule.NAMES[rule.kind]}: {rule.kind.__name__}"


def _of_relation(config_class: type[Any], relation: object) -> Iterator[str]:
    if not isinstance(relation, Relation):
        yield f"RELATIONS holds {relation!r}, which is not declared with @relation"
        return
    for key in (*relation.keys, *relation.hints):
        field = field_at(config_class, key)
        if field is None:
            yield f"@relation names {key}, which is no field{did_you_mean(key, keys_of(config_class))}"
        elif "section" in field.metadata:
            first = next(keys_of(field.metadata["section"]))
            yield f"@relation names {key}, which is a section; name a key of it, such as {key}.{first}"
