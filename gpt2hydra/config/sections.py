"""Fields that hold sections: :func:`section` of one class, :func:`union` of one that a key names.

:func:`class_with_sections` is for a configuration of which some sections are checked, and all else passes as
Hydra composes it. Standard library only.
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
from gpt2hydra.config.fields import Common, choice, flag, metadata_of, plain_field, text
from gpt2hydra.config.keys import TARGET_KEYS, attribute_of, doc_of, field_at, fields_of, sections_of
from gpt2hydra.config.rules import Problem, Rule
from gpt2hydra.config.validation import Checked, build, check, check_declaration
from gpt2hydra.utils.formatting import kind_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

SECTION_CLASSES = "a class that derives from Checked, a dataclass or a pydantic model"


def section(config_class: type[Any], doc: str = "", *, target: bool = False, **common: Unpack[Common]) -> Any:
    """A field that holds another configuration: a ``Checked``, a plain dataclass, or a pydantic model.

    It must be given where the defaults of the class alone are not valid. ``optional``: null may stand there,
    and is the default. ``target``: ``_target_`` may stand in it, with the other keys of
    ``hydra.utils.instantiate``, which takes what ``to_dict()`` returns.

    Raises:
        TypeError: the class is none of these, or declared wrongly.
    """
    check_section_class(config_class)
    made = _with_keys(config_class, "target=True") if target else config_class
    optional = common.get("optional", False)
    element = Section(optional=optional, config_class=made)
    metadata = {"section": made, "doc": doc, "optional": optional, "element": element}
    if optional or check(made, {}).violations:
        return plain_field(None if optional else ABSENT, metadata, common)
    return dataclasses.field(default_factory=made, metadata={**metadata, **metadata_of(common)})


def union(discriminator: str, variants: Mapping[Any, type[Any]], doc: str = "", **common: Unpack[Common]) -> Any:
    """A section whose class one of its keys names: ``union("type", {"adamw": AdamW, "muon": Muon}, "the optimizer")``.

    ``_target_`` may be that key. It must be given, unless it is ``optional``, which makes null the default.

    Raises:
        TypeError: a class is declared wrongly, stands there twice, or two values of the key differ in
            capitals alone.
    """
    for config_class in variants.values():
        check_section_class(config_class)
    declared = f"union({discriminator!r})"
    if not variants:
        raise TypeError(f"{declared} has no classes")
    alike = [each for each in variants if sum(str(each).lower() == str(other).lower() for other in variants) > 1]
    if alike:
        raise TypeError(f"{declared} has values that are alike: {', '.join(map(repr, alike))}")
    twice = next((each.__name__ for each in variants.values() if [*variants.values()].count(each) > 1), None)
    if twice:
        raise TypeError(f"{declared} has {twice} twice; derive a class for each: class Other({twice}): ...")
    made = {value: _with_keys(each, declared, discriminator, value) for value, each in variants.items()}
    optional = common.get("optional", False)
    metadata = {"variants": made, "discriminator": discriminator, "doc": doc, "optional": optional}
    return plain_field(None if optional else ABSENT, metadata, common)


def check_section_class(config_class: Any) -> None:
    """Check a class that is to be a section.

    Raises:
        TypeError: it is none, or declared wrongly.
    """
    if not is_section_class(config_class):
        name = getattr(config_class, "__name__", repr(config_class))
        raise TypeError(f"{name} is no section: it must be {SECTION_CLASSES}")
    check_declaration(config_class)


# ------------------------------------------------------------------------------------------------ classes with more keys


def _with_keys(config_class: type[Any], declared: str, discriminator: str = "", value: Any = None) -> type[Any]:
    """``config_class``, where it has no such fields of its own with a discriminator, or the keys of ``instantiate``."""
    keys = {discriminator} if discriminator else {*TARGET_KEYS}
    if keys & {each.name for each in fields_of(config_class)}:
        return config_class
    if not issubclass(config_class, Checked):
        wanted = f"must derive from Checked, or have a field {discriminator or '_target_'} of its own"
        raise TypeError(f"{declared}: {config_class.__name__} {wanted}")
    return _extended(config_class, discriminator, value)


def _extended(config_class: type[Any], discriminator: str, value: Any) -> type[Any]:
    """A class of the same name with a discriminator, with the keys of ``hydra.utils.instantiate``, or with both; made once."""
    origin = (config_class, discriminator, value)
    if origin in _EXTENDED:
        return _EXTENDED[origin]
    fields: dict[str, Any] = {} if discriminator and discriminator not in TARGET_KEYS else _target_fields()
    if discriminator:
        fields[discriminator] = choice(value, "which class", (value,))
    for name, each in fields.items():
        each.kw_only, each.metadata = True, {**each.metadata, "key": name, "discriminates": name == discriminator}
    specs = [(name if name.isidentifier() else "discriminator", Any, each) for name, each in fields.items()]
    names = {"__doc__": config_class.__doc__, "__reduce__": _reduce, "ORIGIN": origin}
    made = dataclasses.make_dataclass(config_class.__name__, specs, bases=(config_class,), namespace=names, frozen=True)
    made.__module__, made.__qualname__ = config_class.__module__, config_class.__qualname__
    return _EXTENDED.setdefault(origin, made)


_EXTENDED: dict[tuple[type[Any], str, Any], type[Any]] = {}


def _target_fields() -> dict[str, Any]:
    return {
        "_target_": text(None, "what Hydra instantiates", optional=True),
        "_partial_": flag(None, "make a functools.partial", optional=True),
        "_recursive_": flag(None, "instantiate the sections below too", optional=True),
        "_convert_": choice(None, "how sections below are passed", ("none", "partial", "object", "all"), optional=True),
    }


def name_of(config_class: type[Any]) -> str:
    """What :func:`class_named` finds a class by: ``my_package.optim:AdamW``, and what :func:`_extended` made it of."""
    name = f"{config_class.__module__}:{config_class.__qualname__}"
    _, discriminator, value = getattr(config_class, "ORIGIN", (None, None, None))
    return name if discriminator is None else f"{name}:{discriminator}:{value!r}"


def class_named(name: str) -> type[Any]:
    """The class of a :func:`name_of`."""
    module, path, *origin = name.split(":", 3)
    found: type[Any] = operator.attrgetter(path)(import_module(module))
    return _extended(found, origin[0], ast.literal_eval(origin[1])) if origin else found


def _reduce(config: Any) -> Any:
    """How an instance is pickled: its class cannot be found by name."""
    return _restored, (*type(config).ORIGIN, vars(config))


def _restored(config_class: type[Any], discriminator: str, value: Any, values: Mapping[str, Any]) -> Any:
    restored = object.__new__(_extended(config_class, discriminator, value))
    vars(restored).update(values)
    return restored


# ------------------------------------------------------------------------------------------------- sections as elements


@dataclass(frozen=True)
class Section(Rule):
    """A section as an element of a list or a mapping."""

    config_class: type[Any] = Checked

    def words(self) -> str:
        """``a section with the keys of Layer``."""
        return f"a section with the keys of {self.config_class.__name__}"

    def problems(self, value: Any) -> Sequence[Problem]:
        """No section, or what is wrong in it, by key: ``.width``."""
        if isinstance(value, self.config_class):
            return ()
        if not isinstance(value, Mapping):
            return [Problem("", value, f"must be {self}, not {kind_of(value)}")]
        return [Problem(f".{each.key}", each.value, each.rule) for each in check(self.config_class, value).violations]

    def stored(self, value: Any) -> Any:
        """An instance of its class."""
        ready = value is None or isinstance(value, self.config_class)
        return value if ready else build(self.config_class, check(self.config_class, value).values)


# ------------------------------------------------------------------------------- of a config, some sections are checked


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
    return _class_with(fields, "Config", doc)


def _class_with(sections: Mapping[str, dataclasses.Field[Any]], name: str, doc: str = "") -> type[Checked]:
    specs: list[tuple[str, Any, Any]] = []
    for key in dict.fromkeys(each.partition(".")[0] for each in sections):
        field = sections.get(key)
        if field is None:
            below = {each.partition(".")[2]: kind for each, kind in sections.items() if each.startswith(f"{key}.")}
            field = section(_class_with(below, "".join(map(str.capitalize, key.split("_")))))
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
