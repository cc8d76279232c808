"""A configuration of which some sections are checked, and all else passes as Hydra composes it. Standard library only."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from gpt2hydra.config.annotations import is_section_class
from gpt2hydra.config.errors import ABSENT
from gpt2hydra.config.fields import plain_field
from gpt2hydra.config.keys import TARGET_KEYS, attribute_of, doc_of, field_at, fields_of, sections_of
from gpt2hydra.config.sections import SECTION_CLASSES, section
from gpt2hydra.config.validation import Checked


@dataclass(frozen=True)
class AnySection(Checked, extra="allow"):
    """Base of what stands around the sections that are checked. No schema of it is merged into the config."""

    HAS_SCHEMA: ClassVar[bool] = False


SectionKind: TypeAlias = Any
"""What a section is: ``Net``, ``Net | None``, what ``section()`` or ``union()`` declare, or an ``Annotated`` with that."""


def section_of(kind: SectionKind) -> dataclasses.Field[Any] | None:
    """The field of a section; None where it is none.

    Raises:
        TypeError: the class is declared wrongly.
    """
    declared = [each for each in getattr(kind, "__metadata__", ()) if isinstance(each, dataclasses.Field)]  # of Annotated
    kind = declared[0] if declared else kind
    if isinstance(kind, dataclasses.Field):
        return kind if sections_of(kind) else None
    classes = [each for each in typing.get_args(kind) if each is not type(None)] or [kind]
    if len(classes) > 1 or not is_section_class(classes[0]):
        return None
    return section(classes[0], doc_of(classes[0]), optional=classes[0] is not kind)  # type: ignore[no-any-return]


def class_with_sections(sections: Mapping[str, SectionKind], doc: str = "") -> type[Checked]:
    """The class of a configuration with these sections, by dotted key.

    ``_target_`` and the other keys of ``hydra.utils.instantiate`` may stand in each of them; a class that has
    no such field does not get them.

    Raises:
        TypeError: something cannot be a section, or stands within another.
    """
    fields: dict[str, dataclasses.Field[Any]] = {}
    for key, kind in sections.items():
        field = section_of(kind)
        if field is None:
            raise TypeError(f"{key} is no section: it must be {SECTION_CLASSES}, or union(...)")
        around = next((other for other in sections if key.startswith(f"{other}.")), None)
        if around is not None:
            raise TypeError(f"{key} stands within {around}, which has a class of its own; declare it there")
        fields[key] = field
    return _class_of(fields, "Config", doc)


def _class_of(sections: Mapping[str, dataclasses.Field[Any]], name: str, doc: str = "") -> type[Checked]:
    specs: list[tuple[str, Any, Any]] = []
    for key in dict.fromkeys(each.partition(".")[0] for each in sections):
        field = sections.get(key)
        if field is None:
            below = {each.partition(".")[2]: kind for each, kind in sections.items() if each.startswith(f"{key}.")}
            field = section(_class_of(below, "".join(map(str.capitalize, key.split("_")))))
        own = {each.name for nested in sections_of(field) for each in fields_of(nested)}
        metadata = {**field.metadata, "must_exist": True, "ignored": frozenset(TARGET_KEYS) - own}
        attribute = key if key.isidentifier() else f"section_{len(specs)}"
        specs.append((attribute, Any, plain_field(ABSENT, metadata, {"key": key})))
    return dataclasses.make_dataclass(name, specs, bases=(AnySection,), namespace={"__doc__": doc}, frozen=True)


def section_at(config: Any, key: str) -> Any:
    """What became of the section under a dotted key."""
    for name in key.split("."):
        field = field_at(type(config), name)
        assert field is not None, key
        config = getattr(config, attribute_of(field))
    return config
