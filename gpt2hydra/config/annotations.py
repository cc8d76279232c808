"""Plain dataclasses and pydantic models as sections: annotations and checks. Standard library only."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Literal, Union

from gpt2hydra.config.errors import ABSENT, Violation
from gpt2hydra.config.value_rules import Anything, Either, Items, MappingOf, Rule, Scalar
from gpt2hydra.utils.formatting import error_reason
from gpt2hydra.utils.immutable import freeze, thaw


def is_pydantic_model(config_class: type[Any]) -> bool:
    """Whether a class is a pydantic model. No class is one before pydantic is imported."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(config_class, type) and issubclass(config_class, pydantic.BaseModel)


def is_foreign_class(config_class: Any) -> bool:
    """Whether a class is a dataclass that does not derive from ``Checked``, or a pydantic model."""
    if not isinstance(config_class, type) or hasattr(config_class, "EXTRA"):
        return False
    return dataclasses.is_dataclass(config_class) or is_pydantic_model(config_class)


def takes_other_keys(config_class: type[Any]) -> bool:
    """Whether a pydantic model accepts or ignores keys that are not fields."""
    return getattr(config_class, "model_config", {}).get("extra") in ("allow", "ignore")


def fields_by_annotation(config_class: type[Any]) -> Iterator[dataclasses.Field[Any]]:
    """Yield the fields of a plain class with the rules of its annotations; any value for pydantic."""
    if is_pydantic_model(config_class):
        yield from _fields_of_model(config_class)
        return
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        hint, doc = hints[field.name], {"doc": str(field.metadata.get("doc", ""))}
        section = _section_metadata(hint)
        if section:
            made = _make_field(field.name, hint, {**section, **doc}, dataclasses.MISSING)
            made.default_factory = field.default_factory
            yield made
        else:
            factory = field.default_factory
            default = freeze(field.default if factory is dataclasses.MISSING else factory())
            yield _make_field(field.name, hint, {"rule": rule_of_annotation(hint), **doc}, default, field.init)


def _fields_of_model(model: Any) -> Iterator[dataclasses.Field[Any]]:
    """Yield the fields of a pydantic model without rules: pydantic checks and converts the values itself."""
    for name, info in model.model_fields.items():
        section = _section_metadata(info.annotation)
        kind = section or {"rule": Anything(object, optional=True)}
        metadata = {**kind, "doc": info.description or "", "attribute": name}
        default = dataclasses.MISSING if info.is_required() else freeze(info.get_default(call_default_factory=True))
        made = _make_field(info.alias or name, info.annotation, metadata, dataclasses.MISSING if section else default)
        if section and not info.is_required():
            made.default_factory = partial(info.get_default, call_default_factory=True)
        yield made


def _section_metadata(hint: Any) -> dict[str, Any]:
    """Metadata for an annotation ``Section`` or ``Section | None``; empty for any other."""
    nested = [each for each in typing.get_args(hint) if each is not type(None)] or [hint]
    return {"section": nested[0], "optional": nested[0] is not hint} if len(nested) == 1 and is_section_class(nested[0]) else {}


def _make_field(name: str, kind: Any, metadata: Mapping[str, Any], default: Any, init: bool = True) -> dataclasses.Field[Any]:
    made: Any = dataclasses.field(default=default, metadata=metadata, init=init)
    made.name, made.type = name, kind
    return made  # type: ignore[no-any-return]


def is_section_class(hint: Any) -> bool:
    """Whether an annotation is a class that can be a section."""
    return isinstance(hint, type) and (hasattr(hint, "EXTRA") or is_foreign_class(hint))


def rule_of_annotation(hint: Any) -> Rule:
    """The rule of an annotation: ``int | None`` is an integer or null. Unknown ones accept any value."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (int, float, bool, str):
        return Scalar(hint)
    if origin is Literal and {type(each) for each in arguments} <= {str, int}:
        kinds = {type(each) for each in arguments}
        return Scalar(kinds.pop() if len(kinds) == 1 else object, choices=arguments)
    if origin in (Union, types.UnionType):
        rules = [rule_of_annotation(each) for each in arguments if each is not type(None)]
        if len(rules) < len(arguments):
            rules = [dataclasses.replace(each, optional=True) for each in rules]
        return rules[0] if len(rules) == 1 else Either(object, rules[0].optional, alternatives=tuple(rules))
    if hint in (list, tuple):
        return Items()
    if origin is list or (origin is tuple and arguments[1:] == (...,)):
        return Items(element=rule_of_annotation(arguments[0]))
    if origin is dict or hint is dict:
        return MappingOf(element=rule_of_annotation(arguments[1]) if arguments else Anything())
    return Anything(object, optional=True)


def construct(config_class: type[Any], values: Mapping[str, Any]) -> Any:
    """Return an instance of a plain class, which adds its own defaults.

    Raises:
        Exception: whatever the class's own checks raise.
    """
    defaults = {field.name: field.default for field in fields_by_annotation(config_class)}
    given = {key: value for key, value in values.items() if key not in defaults or not _is_default(value, defaults[key])}
    if is_pydantic_model(config_class):
        return config_class.model_validate(thaw(given))
    hints = typing.get_type_hints(config_class)
    fields = {field.name for field in dataclasses.fields(config_class) if field.init}
    return config_class(**{key: _as_annotated(hints[key], value) for key, value in given.items() if key in fields})


def _is_default(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)


def _as_annotated(hint: Any, value: Any) -> Any:
    if isinstance(value, tuple) and (typing.get_origin(hint) or hint) is tuple:
        return value
    return thaw(value)


def run_own_checks(config_class: type[Any], values: Mapping[str, Any], prefix: str) -> Iterator[Violation]:
    """Yield the violations that a plain class's own checks raise for values that obey its annotations."""
    try:
        construct(config_class, values)
    except Exception as error:  # a class may raise anything
        found = error.errors() if is_pydantic_model(config_class) and hasattr(error, "errors") else []
        for each in found:
            path = ".".join(map(str, each["loc"]))
            value = ABSENT if each["type"] == "missing" or isinstance(each["input"], Mapping) else each["input"]
            yield Violation(f"{prefix}{path}".rstrip("."), value, each["msg"].removeprefix("Value error, "))
        if not found:
            where = prefix.rstrip(".") or config_class.__name__
            yield Violation(where, rule=f"is refused by {config_class.__name__}: {error_reason(error)}")
