"""A configuration of which some sections are checked, and all else passes as Hydra composes it. Standard library only."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from gpt2hydra.config.declaration import TARGET_KEYS
from gpt2hydra.config.errors import ABSENT
from gpt2hydra.config.fields import plain_field
from gpt2hydra.config.keys import attribute_of, doc_of, field_at, fields_of
from gpt2hydra.config.sections import check_section_class
from gpt2hydra.config.validation import Checked


@dataclass(frozen=True)
class AnySection(Checked, extra="allow"):
    """Base of what stands around the sections that are checked. No schema of it is merged into the config."""

    HAS_SCHEMA: ClassVar[bool] = False


def class_with_sections(
    sections: Mapping[str, type[Any]], optional: frozenset[str] = frozenset(), doc: str = ""
) -> type[Checked]:
    """The class of a configuration with these sections, by dotted key. Those that are ``optional`` may be null.

    ``_target_`` and the other keys of ``hydra.utils.instantiate`` may stand in each of them; a class that has no such field
    does not get them.

    Raises:
        TypeError: a class cannot be a section, or stands within another.
    """
    for key, config_class in sections.items():
        check_section_class(config_class)
        around = next((other for other in sections if key.startswith(f"{other}.")), None)
        if around is not None:
            raise TypeError(f"{key} stands within {around}, which has a class of its own; declare it there")
    return _class_of(sections, optional, "Config", doc)


def _class_of(sections: Mapping[str, type[Any]], optional: frozenset[str], name: str, doc: str = "") -> type[Checked]:
    specs: list[tuple[str, Any, Any]] = []
    for key in dict.fromkeys(each.partition(".")[0] for each in sections):
        if key in sections:
            config_class = sections[key]
        else:
            below = {each.partition(".")[2]: kind for each, kind in sections.items() if each.startswith(f"{key}.")}
            null = frozenset(each.partition(".")[2] for each in optional if each.startswith(f"{key}."))
            config_class = _class_of(below, null, "".join(map(str.capitalize, key.split("_"))))
        own = {field.name for field in fields_of(config_class)}
        metadata = {
            "section": config_class,
            "doc": doc_of(config_class),
            "optional": key in optional,
            "must_exist": True,
            "ignored": frozenset(TARGET_KEYS) - own,
        }
        attribute = key if key.isidentifier() else f"section_{len(specs)}"
        specs.append((attribute, Any, plain_field(ABSENT, metadata, key)))
    return dataclasses.make_dataclass(name, specs, bases=(AnySection,), namespace={"__doc__": doc}, frozen=True)


def section_at(config: Any, key: str) -> Any:
    """What became of the section under a dotted key."""
    for name in key.split("."):
        field = field_at(type(config), name)
        assert field is not None, key
        config = getattr(config, attribute_of(field))
    return config
