"""Violations of a key, for any value: unknown, missing, computed, or no section. Standard library only."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from gpt2hydra.config.errors import ABSENT, Violation
from gpt2hydra.config.keys import field_at, fields_of, keys_of, section_classes
from gpt2hydra.utils.formatting import closest, describe_type, format_value
from gpt2hydra.utils.quoting import Placeholder


def computed_rule(each: dataclasses.Field[Any], detail: str = "") -> str:
    """The rule for a computed value that a source set; ``detail`` gives the correct value."""
    return f"is computed ({each.metadata['doc']}){detail}; it cannot be set"


def missing_key(key: str, each: dataclasses.Field[Any]) -> Violation:
    """The violation of a required key that is not given."""
    return Violation(key, rule=f"must be given: {each.metadata['doc']}", remedy={key: Placeholder("...")})


def select_section_class(each: dataclasses.Field[Any], value: Any, key: str) -> tuple[type[Any] | None, list[Violation]]:
    """The class of a section: the only one, or the discriminator's choice; None, with violations, if none."""
    classes = section_classes(each)
    if isinstance(value, classes):
        return type(value), []
    kind = next((nested for nested in classes if nested.__base__ is type(value)), None)
    if kind is not None:
        return kind, []
    names = ", or ".join(nested.__name__ for nested in classes)
    if not isinstance(value, Mapping):
        null = " or null" if each.metadata.get("optional") else ""
        return None, [Violation(key, value, f"must be a section with the keys of {names}{null}, not {describe_type(value)}")]
    return (classes[0], []) if "section" in each.metadata else _select_variant(each, value, key)


def _select_variant(
    each: dataclasses.Field[Any], value: Mapping[str, Any], key: str
) -> tuple[type[Any] | None, list[Violation]]:
    """The class that the discriminator of a union selects; None, with violations, if it selects none."""
    variants, key = each.metadata["variants"], f"{key}.{each.metadata['discriminator']}"
    given = value.get(each.metadata["discriminator"], ABSENT)
    kind = variants.get(given) if isinstance(given, (str, int)) and not isinstance(given, bool) else None
    if kind is not None:
        return kind, []
    known = ", ".join(map(format_value, variants))
    if given is ABSENT:
        return None, [Violation(key, rule=f"must be given: one of {known}", remedy={key: Placeholder("...")})]
    near = closest(str(given), map(str, variants))
    return None, [Violation(key, given, f"must be one of {known}", remedy={key: near} if near else {})]


# --------------------------------------------------------------------------------------------------------- unknown keys


def unknown_key(config_class: type[Any], key: object, value: object = ABSENT, prefix: str = "") -> Violation:
    """The violation of a key that ``config_class`` does not know, with the key that was probably meant."""
    near = _reject_other_meaning(str(key), closest(str(key), (field.name for field in fields_of(config_class))))
    remedy = _make_remedy(config_class, str(key), near, value, prefix) if near else {}
    rule = "unknown key" + (f"; did you mean {prefix}{near}?" if near else f"; known: {_known_keys(config_class)}")
    return Violation(f"{prefix}{format_value(str(key))}", value, rule, remedy=remedy)


def unknown_dotted_key(root: type[Any], key: str, value: object, groups: Sequence[str] = ()) -> Violation:
    """The violation of a dotted key that the schema does not have; ``groups`` are suggested too."""
    parent, _, last = key.rpartition(".")
    above = field_at(root, parent)
    if above is not None and not section_classes(above):
        return Violation(key, value, f"unknown key: {parent} is a single value, it has no keys below it")
    near = _reject_other_meaning(key, guess_key(root, key, groups))
    if near is not None:
        return Violation(key, value, f"unknown key; did you mean {near}?", remedy=_make_remedy(root, key, near, value))
    section = section_classes(above)[0] if above is not None else root
    return dataclasses.replace(unknown_key(section, last if above is not None else key), key=key, value=value)


def _reject_other_meaning(key: str, near: str | None) -> str | None:
    """``near``, unless it means another thing: ``pad_vocab_size_multiple`` is not ``vocab_size``."""
    words, known = (set(each.rpartition(".")[2].split("_")) for each in (key, near or ""))
    return None if known < words and len(words - known) > 1 else near


def _make_remedy(config_class: type[Any], key: str, near: str, value: object, prefix: str = "") -> dict[str, object]:
    """The remedy: the key that was meant with the value, or with the nearest valid value; empty if unsure."""
    field = field_at(config_class, near)
    if value is ABSENT or isinstance(value, Mapping) or (field is not None and "computed" in field.metadata):
        return {}
    if field is not None and section_classes(field):  # modle=large
        return {f"{prefix}{near}": value} if isinstance(value, str) else {}
    if near.endswith("_ratio"):  # min_learning_rate=6e-5 is no ratio
        return {}
    if field is not None and field.metadata["rule"].first_problem(value):
        value = field.metadata["rule"].remedy(value)
    return {} if value is ABSENT else {f"{prefix}{near}": value}


def guess_key(root: type[Any], key: str, groups: Sequence[str]) -> str | None:
    """The key probably meant: misspelt, or of another section (``n_head``, ``model.lr``). Or None."""
    section: type[Any] | None = root
    parts: list[str] = []
    for part in key.split("."):
        names = [field.name for field in fields_of(section)] if section else []
        near = part if part in names else closest(part, names if parts else [*names, *groups])
        if near is None:
            break
        parts.append(near)
        field = field_at(section, near) if section else None
        section = next(iter(section_classes(field)), None) if field else None
    else:
        return ".".join(parts)
    last = {each: each.rpartition(".")[2] for each in keys_of(root)}
    name = key.rpartition(".")[2]
    near = name if name in last.values() else closest(name, last.values(), cutoff=0.75) or closest(key, last, cutoff=0.75)
    return next((each for each in last if near in (each, last[each])), None)


def _known_keys(config_class: type[Any]) -> str:
    return ", ".join(field.name for field in fields_of(config_class) if field.init)
