"""What is wrong with a key, whatever its value: unknown, missing, computed, or no section. Standard library only."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from gpt2hydra.config.errors import ABSENT, Violation
from gpt2hydra.config.keys import field_at, fields_of, keys_of, sections_of
from gpt2hydra.utils.formatting import closest, kind_of, show
from gpt2hydra.utils.quoting import Placeholder


def computed_rule(each: dataclasses.Field[Any], here: str = "") -> str:
    """What is reported of a computed value that somebody set; ``here``, what it would be."""
    return f"is computed ({each.metadata['doc']}){here}; it cannot be set"


def missing(key: str, each: dataclasses.Field[Any]) -> Violation:
    """The violation of a key that must be given and is not."""
    return Violation(key, rule=f"must be given: {each.metadata['doc']}", remedy={key: Placeholder("...")})


def section_class(each: dataclasses.Field[Any], value: Any, key: str) -> tuple[type[Any] | None, list[Violation]]:
    """The class that a section becomes: its own, that which its discriminator names, or None and what is wrong."""
    classes = sections_of(each)
    if isinstance(value, classes):
        return type(value), []
    kind = next((nested for nested in classes if nested.__base__ is type(value)), None)
    if kind is not None:
        return kind, []
    names = ", or ".join(nested.__name__ for nested in classes)
    if not isinstance(value, Mapping):
        null = " or null" if each.metadata.get("optional") else ""
        return None, [Violation(key, value, f"must be a section with the keys of {names}{null}, not {kind_of(value)}")]
    return (classes[0], []) if "section" in each.metadata else _variant(each, value, key)


def _variant(each: dataclasses.Field[Any], value: Mapping[str, Any], key: str) -> tuple[type[Any] | None, list[Violation]]:
    """The class that the discriminator of a union names."""
    variants, key = each.metadata["variants"], f"{key}.{each.metadata['discriminator']}"
    given = value.get(each.metadata["discriminator"], ABSENT)
    kind = variants.get(given) if isinstance(given, (str, int)) and not isinstance(given, bool) else None
    if kind is not None:
        return kind, []
    known = ", ".join(map(show, variants))
    if given is ABSENT:
        return None, [Violation(key, rule=f"must be given: one of {known}", remedy={key: Placeholder("...")})]
    near = closest(str(given), map(str, variants))
    return None, [Violation(key, given, f"must be one of {known}", remedy={key: near} if near else {})]


# --------------------------------------------------------------------------------------------------------- unknown keys


def unknown_key(config_class: type[Any], key: object, value: object = ABSENT, prefix: str = "") -> Violation:
    """The violation of a key that ``config_class`` does not know, with the key that was probably meant."""
    near = _meant(str(key), closest(str(key), (field.name for field in fields_of(config_class))))
    remedy = _instead(config_class, str(key), near, value, prefix) if near else {}
    rule = "unknown key" + (f"; did you mean {prefix}{near}?" if near else f"; known: {_known(config_class)}")
    return Violation(f"{prefix}{show(str(key))}", value, rule, remedy=remedy)


def unknown_below(root: type[Any], key: str, value: object, groups: Sequence[str] = ()) -> Violation:
    """The violation of a dotted key that the schema does not have. ``groups`` can be meant as well as keys."""
    parent, _, last = key.rpartition(".")
    above = field_at(root, parent)
    if above is not None and not sections_of(above):
        return Violation(key, value, f"unknown key: {parent} is a single value, it has no keys below it")
    near = _meant(key, key_meant(root, key, groups))
    if near is not None:
        return Violation(key, value, f"unknown key; did you mean {near}?", remedy=_instead(root, key, near, value))
    section = sections_of(above)[0] if above is not None else root
    return dataclasses.replace(unknown_key(section, last if above is not None else key), key=key, value=value)


def _meant(key: str, near: str | None) -> str | None:
    """``near``, unless it is another thing: ``pad_vocab_size_multiple`` than ``vocab_size``."""
    words, known = (set(each.rpartition(".")[2].split("_")) for each in (key, near or ""))
    return None if known < words and len(words - known) > 1 else near


def _instead(config_class: type[Any], key: str, near: str, value: object, prefix: str = "") -> dict[str, object]:
    """The key that was meant, with the value if that obeys, or what the value was to be; nothing where neither is certain."""
    field = field_at(config_class, near)
    if value is ABSENT or isinstance(value, Mapping) or (field is not None and "computed" in field.metadata):
        return {}
    if field is not None and sections_of(field):  # modle=large
        return {f"{prefix}{near}": value} if isinstance(value, str) else {}
    if near.endswith("_ratio"):  # min_learning_rate=6e-5: no share of anything
        return {}
    if field is not None and field.metadata["rule"].problem(value):
        value = field.metadata["rule"].remedy(value)
    return {} if value is ABSENT else {f"{prefix}{near}": value}


def key_meant(root: type[Any], key: str, groups: Sequence[str]) -> str | None:
    """The key that was probably meant: misspelt where it stands, or of another section (``n_head``, ``model.lr``)."""
    here: type[Any] | None = root
    parts: list[str] = []
    for part in key.split("."):
        names = [field.name for field in fields_of(here)] if here else []
        near = part if part in names else closest(part, names if parts else [*names, *groups])
        if near is None:
            break
        parts.append(near)
        field = field_at(here, near) if here else None
        here = next(iter(sections_of(field)), None) if field else None
    else:
        return ".".join(parts)
    last = {each: each.rpartition(".")[2] for each in keys_of(root)}
    name = key.rpartition(".")[2]
    near = name if name in last.values() else closest(name, last.values(), cutoff=0.75) or closest(key, last, cutoff=0.75)
    return next((each for each in last if near in (each, last[each])), None)


def _known(config_class: type[Any]) -> str:
    return ", ".join(field.name for field in fields_of(config_class) if field.init)
