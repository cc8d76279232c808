"""Fields for sections: :func:`section` has one class, :func:`union` the one that a key selects.

:func:`class_with_sections` makes the class of a configuration of which only some sections are checked;
everything else passes as Hydra composes it. Standard library only.
"""

from __future__ import annotations

import ast
import dataclasses
import operator
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from gpt2hydra.config.annotations import is_section_class
from gpt2hydra.config.errors import ABSENT
from gpt2hydra.config.fields import CommonOptions, choice, flag, make_field, metadata_of, text
from gpt2hydra.config.keys import TARGET_KEYS, attribute_of, doc_of, field_at, fields_of, section_classes
from gpt2hydra.config.validation import Checked, build, check, check_declaration
from gpt2hydra.config.value_rules import Problem, Rule
from gpt2hydra.utils.formatting import describe_type

if TYPE_CHECKING:
    from typing_extensions import Unpack

SECTION_CLASSES = "a class that derives from Checked, a dataclass or a pydantic model"


def section(config_class: type[Any], doc: str = "", *, target: bool = False, **common: Unpack[CommonOptions]) -> Any:
    """A field that holds another configuration: a ``Checked``, a plain dataclass, or a pydantic model.

    It is required if the defaults of the class are not valid. ``optional``: null is allowed and is the
    default. ``target``: ``_target_`` and the other keys of ``hydra.utils.instantiate`` are allowed in it, and
    ``instantiate`` takes the result of ``to_dict()``.

    Raises:
        TypeError: the class is none of these, or declared wrongly.
    """
    check_section_class(config_class)
    made = _add_keys(config_class, "target=True") if target else config_class
    optional = common.get("optional", False)
    element = Section(optional=optional, config_class=made)
    metadata = {"section": made, "doc": doc, "optional": optional, "element": element}
    if optional or check(made, {}).violations:
        return make_field(None if optional else ABSENT, metadata, common)
    return dataclasses.field(default_factory=made, metadata={**metadata, **metadata_of(common)})


def union(discriminator: str, variants: Mapping[Any, type[Any]], doc: str = "", **common: Unpack[CommonOptions]) -> Any:
    """A section whose class a key selects: ``union("type", {"adamw": AdamW, "muon": Muon}, "optimizer")``.

    The key may be ``_target_``. The section is required, unless it is ``optional``: then null is the default.

    Raises:
        TypeError: a class is declared wrongly or listed twice, or two values differ only in capitals.
    """
    for config_class in variants.values():
        check_section_class(config_class)
    declared = f"union({discriminator!r})"
    if not variants:
        raise TypeError(f"{declared} has no classes")
    alike = [each for each in variants if sum(str(each).lower() == str(other).lower() for other in variants) > 1]
    if alike:
        raise TypeError(f"{declared} has values that differ only in capital letters: {', '.join(map(repr, alike))}")
    twice = next((each.__name__ for each in variants.values() if [*variants.values()].count(each) > 1), None)
    if twice:
        raise TypeError(f"{declared} has {twice} twice; derive a class for each: class Other({twice}): ...")
    made = {value: _add_keys(each, declared, discriminator, value) for value, each in variants.items()}
    optional = common.get("optional", False)
    metadata = {"variants": made, "discriminator": discriminator, "doc": doc, "optional": optional}
    return make_field(None if optional else ABSENT, metadata, common)


def check_section_class(config_class: Any) -> None:
    """Check a class of a section.

    Raises:
        TypeError: it cannot be a section, or is declared wrongly.
    """
    if not is_section_class(config_class):
        name = getattr(config_class, "__name__", repr(config_class))
        raise TypeError(f"{name} is no section: it must be {SECTION_CLASSES}")
    check_declaration(config_class)


# ------------------------------------------------------------------------------------------------ classes with more keys


def _add_keys(config_class: type[Any], declared: str, discriminator: str = "", value: Any = None) -> type[Any]:
    """Add the discriminator or the keys of ``instantiate`` to a class, unless it has them."""
    keys = {discriminator} if discriminator else {*TARGET_KEYS}
    if keys & {each.name for each in fields_of(config_class)}:
        return config_class
    if not issubclass(config_class, Checked):
        wanted = f"must derive from Checked, or have a field {discriminator or '_target_'} of its own"
        raise TypeError(f"{declared}: {config_class.__name__} {wanted}")
    return _extend_class(config_class, discriminator, value)


def _extend_class(config_class: type[Any], discriminator: str, value: Any) -> type[Any]:
    """Return a class of the same name with a discriminator, the keys of ``instantiate``, or both. Cached."""
    origin = (config_class, discriminator, value)
    if origin in _EXTENDED_CLASSES:
        return _EXTENDED_CLASSES[origin]
    fields: dict[str, Any] = {} if discriminator and discriminator not in TARGET_KEYS else _target_fields()
    if discriminator:
        fields[discriminator] = choice(value, "which class", (value,))
    for name, each in fields.items():
        each.kw_only, each.metadata = True, {**each.metadata, "key": name, "discriminates": name == discriminator}
    specs = [(name if name.isidentifier() else "discriminator", Any, each) for name, each in fields.items()]
    names = {"__doc__": config_class.__doc__, "__reduce__": _reduce, "ORIGIN": origin}
    made = dataclasses.make_dataclass(config_class.__name__, specs, bases=(config_class,), namespace=names, frozen=True)
    made.__module__, made.__qualname__ = config_class.__module__, config_class.__qualname__
    return _EXTENDED_CLASSES.setdefault(origin, made)


_EXTENDED_CLASSES: dict[tuple[type[Any], str, Any], type[Any]] = {}


def _target_fields() -> dict[str, Any]:
    return {
        "_target_": text(None, "what Hydra instantiates", optional=True),
        "_partial_": flag(None, "make a functools.partial", optional=True),
        "_recursive_": flag(None, "instantiate the sections below too", optional=True),
        "_convert_": choice(None, "how sections below are passed", ("none", "partial", "object", "all"), optional=True),
    }


def qualified_name(config_class: type[Any]) -> str:
    """A name for :func:`class_by_name`: ``my_package.optim:AdamW``, and the added discriminator, if any."""
    name = f"{config_class.__module__}:{config_class.__qualname__}"
    _, discriminator, value = getattr(config_class, "ORIGIN", (None, None, None))
    return name if discriminator is None else f"{name}:{discriminator}:{value!r}"


def class_by_name(name: str) -> type[Any]:
    """The class with a name from :func:`qualified_name`."""
    module, path, *origin = name.split(":", 3)
    found: type[Any] = operator.attrgetter(path)(import_module(module))
    return _extend_class(found, origin[0], ast.literal_eval(origin[1])) if origin else found


def _reduce(config: Any) -> Any:
    """Pickle an instance by the inputs of :func:`_extend_class`: its class cannot be imported by name."""
    return _restore, (*type(config).ORIGIN, vars(config))


def _restore(config_class: type[Any], discriminator: str, value: Any, values: Mapping[str, Any]) -> Any:
    restored = object.__new__(_extend_class(config_class, discriminator, value))
    vars(restored).update(values)
    return restored


# ------------------------------------------------------------------------------------------------- sections as elements


@dataclass(frozen=True)
class Section(Rule):
    """The rule for a section that is an element of a list or a mapping."""

    config_class: type[Any] = Checked

    def describe(self) -> str:
        """``a section with the keys of Layer``."""
        return f"a section with the keys of {self.config_class.__name__}"

    def problems(self, value: Any) -> Sequence[Problem]:
        """That it is no section, or each problem inside it with its key: ``.width``."""
        if isinstance(value, self.config_class):
            return ()
        if not isinstance(value, Mapping):
            return [Problem("", value, f"must be {self}, not {describe_type(value)}")]
        return [Problem(f".{each.key}", each.value, each.rule) for each in check(self.config_class, value).violations]

    def convert(self, value: Any) -> Any:
        """Convert to an instance of the class."""
        ready = value is None or isinstance(value, self.config_class)
        return value if ready else build(self.config_class, check(self.config_class, value).values)


# --------------------------------------------------------------------------------------- only some sections are checked


@dataclass(frozen=True)
class PartlyCheckedConfig(Checked, extra="allow"):
    """Base of a configuration in which only sections are checked. It has no schema to merge."""

    HAS_SCHEMA: ClassVar[bool] = False


SectionKind: TypeAlias = Any
"""A declared section: ``Net``, ``Net | None``, ``section(...)``, ``union(...)``, or ``Annotated``."""


def section_field(kind: SectionKind) -> dataclasses.Field[Any] | None:
    """The field of a section; None if ``kind`` declares none.

    Raises:
        TypeError: the class is declared wrongly.
    """
    declared = [each for each in getattr(kind, "__metadata__", ()) if isinstance(each, dataclasses.Field)]  # in Annotated
    kind = declared[0] if declared else kind
    if isinstance(kind, dataclasses.Field):
        return kind if section_classes(kind) else None
    classes = [each for each in typing.get_args(kind) if each is not type(None)] or [kind]
    if len(classes) > 1 or not is_section_class(classes[0]):
        return None
    return section(classes[0], doc_of(classes[0]), optional=classes[0] is not kind)  # type: ignore[no-any-return]


def class_with_sections(sections: Mapping[str, SectionKind], doc: str = "") -> type[Checked]:
    """Return the class of a configuration with these sections, by dotted key.

    ``_target_`` and the other keys of ``hydra.utils.instantiate`` are allowed in each section. A class that
    has no such field does not receive them.

    Raises:
        TypeError: a value cannot be a section, or a section is inside another.
    """
    fields: dict[str, dataclasses.Field[Any]] = {}
    for key, kind in sections.items():
        field = section_field(kind)
        if field is None:
            raise TypeError(f"{key} is no section: it must be {SECTION_CLASSES}, or union(...)")
        around = next((other for other in sections if key.startswith(f"{other}.")), None)
        if around is not None:
            raise TypeError(f"{key} is inside {around}, which has its own class; declare it there")
        fields[key] = field
    return _class_with(fields, "Config", doc)


def _class_with(sections: Mapping[str, dataclasses.Field[Any]], name: str, doc: str = "") -> type[Checked]:
    specs: list[tuple[str, Any, Any]] = []
    for key in dict.fromkeys(each.partition(".")[0] for each in sections):
        field = sections.get(key)
        if field is None:
            below = {each.partition(".")[2]: kind for each, kind in sections.items() if each.startswith(f"{key}.")}
            field = section(_class_with(below, "".join(map(str.capitalize, key.split("_")))))
        own = {each.name for nested in section_classes(field) for each in fields_of(nested)}
        metadata = {**field.metadata, "must_exist": True, "ignored": frozenset(TARGET_KEYS) - own}
        attribute = key if key.isidentifier() else f"section_{len(specs)}"
        specs.append((attribute, Any, make_field(ABSENT, metadata, {"key": key})))
    return dataclasses.make_dataclass(name, specs, bases=(PartlyCheckedConfig,), namespace={"__doc__": doc}, frozen=True)


def get_section(config: Any, key: str) -> Any:
    """The value of the section under a dotted key."""
    for name in key.split("."):
        field = field_at(type(config), name)
        assert field is not None, key
        config = getattr(config, attribute_of(field))
    return config
