"""Rules between fields: methods of a configuration class under :func:`validator`. Standard library only.

A validator reads fields by their names, ``self.n_embd``, ``self.model.n_positions``, and returns a
:class:`Failure` or None. It runs only if each value that it reads is valid by itself::

    @validator("n_head")
    def _heads_divide_width(self) -> Failure | None:
        return Failure("must divide {n_embd}", {"n_head": 1}) if self.n_embd % self.n_head else None
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from gpt2hydra.config.errors import ABSENT, Violation
from gpt2hydra.config.keys import attribute_of, cache_by_class, field_at, fields_of, keys_of, section_classes, values_of
from gpt2hydra.utils.formatting import did_you_mean, format_value

F = TypeVar("F", bound=Callable[..., "Failure | None"])

_MARK = "gpt2hydra_validator"
"""The attribute in which a method keeps the arguments of :func:`validator`."""


@dataclass(frozen=True)
class Failure:
    """A broken rule between fields.

    In ``rule``, ``{key}`` is replaced by that key and its value; ``remedy`` has the keys to set.
    """

    rule: str
    remedy: Mapping[str, object] = dataclasses.field(default_factory=dict)


def validator(key: str, *, hints: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Declare a method to be a rule between fields.

    Args:
        key: the dotted key that a report names.
        hints: keys for a better message. The validator also runs if they are not valid, and reads None then.
    """

    def mark(method: F) -> F:
        setattr(method, _MARK, (key, hints))
        return method

    return mark


def is_validator(method: object) -> bool:
    """Whether :func:`validator` declared a method."""
    return hasattr(method, _MARK)


@dataclass(frozen=True)
class Validator:
    """One rule between the fields of a class; ``name`` is its name in a message."""

    name: str
    key: str
    hints: tuple[str, ...]
    test: Callable[[Any], Failure | None]


@cache_by_class
def validators_of(config_class: type[Any]) -> tuple[Validator, ...]:
    """The validators of a class, those of its bases first. One replaces a base's of the same name."""
    found: dict[str, Validator] = {}
    for base in reversed(config_class.__mro__):
        for name, each in vars(base).items():
            if is_validator(each):
                key, hints = getattr(each, _MARK)
                found[name] = Validator(f"the validator {name}", key, hints, each)
            elif name in found:
                del found[name]
        for each in filter(is_validator, vars(base).get("RELATIONS", ())):
            key, hints = getattr(each, _MARK)
            found.setdefault(str(id(each)), Validator(f"the @relation over {key}", key, hints, each))
    return tuple(found.values())


@dataclass
class CheckResult:
    """The result of checking one section.

    ``values`` are as the class stores them, ``valid`` are those that are valid by themselves. ``sections``
    has an instance for each section without violations, None for null, and a CheckResult for any other.
    ``violations`` are in the order of the fields.
    """

    config_class: type[Any]
    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    valid: dict[str, Any] = dataclasses.field(default_factory=dict)
    sections: dict[str, Any] = dataclasses.field(default_factory=dict)
    violations: list[Violation] = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, config: Any, known_wrong: frozenset[str] = frozenset()) -> CheckResult:
        """The result for an instance: every value is valid, except the keys in ``known_wrong``."""
        values = values_of(config)
        sections = {each.name: values[each.name] for each in fields_of(type(config)) if section_classes(each)}
        valid = {key: each for key, each in values.items() if key not in sections and key not in known_wrong}
        return cls(type(config), values, valid, sections)

    def section(self, name: str) -> CheckResult | None:
        """The result of a section; None for null.

        Raises:
            NotValid: there is no valid section of that name.
        """
        if name not in self.sections:
            raise NotValid
        section = self.sections[name]
        return section if section is None or isinstance(section, CheckResult) else CheckResult.of(section)

    def at(self, key: str) -> Any:
        """The value under a dotted key.

        Raises:
            NotValid: the value is not valid by itself, or its section is null.
        """
        name, _, rest = key.partition(".")
        section = self.section(name) if rest else None
        if section is None and (rest or name not in self.valid):
            raise NotValid
        return section.at(rest) if section is not None else self.valid[name]


class NotValid(Exception):
    """A value is read that is not valid by itself; its violation is reported already."""


class ValidValues:
    """The ``self`` of a validator, with only the values that are valid by themselves."""

    def __init__(
        self, found: CheckResult, hints: tuple[str, ...] = (), prefix: str = "", read: dict[str, None] | None = None
    ) -> None:
        """Args:
        hints: keys that are None if they are not valid.
        prefix: the key of this section, with a dot.
        read: receives the keys that are read, in order.
        """
        self._found, self._class, self._hints, self._prefix = found, found.config_class, hints, prefix
        self._read: dict[str, None] = {} if read is None else read

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # so that isinstance(self.optim, AdamW) works as for an instance
        return self._class

    def __getattr__(self, name: str) -> Any:
        field = _by_attribute(self._class).get(name)
        if field is None:
            return self._of_class(name)
        if not section_classes(field):
            return self._value(field.name)
        section = self._found.section(field.name)
        return None if section is None else ValidValues(section, self._hints, f"{self._prefix}{field.name}.", self._read)

    def _of_class(self, name: str) -> Any:
        """A property, a method or a constant of the class."""
        found = inspect.getattr_static(self._class, name, None)
        if isinstance(found, property) and found.fget is not None:
            return found.fget(self)
        if isinstance(found, types.FunctionType):
            return types.MethodType(found, self)
        if found is None:
            known = did_you_mean(name, _by_attribute(self._class))
            raise TypeError(f"reads {self._prefix}{name}, which is no field{known}")
        return getattr(self._class, name)

    def _value(self, key: str) -> Any:
        path = f"{self._prefix}{key}"
        try:
            value = self._found.at(key)
        except NotValid:
            if path not in self._hints:
                raise
            return None
        if path not in self._hints:
            self._read[path] = None
        return value

    def at(self, key: str) -> Any:
        """The value under a dotted key, for rules in the older way."""
        field = field_at(self._class, key)
        if field is None or section_classes(field):
            raise TypeError(f"reads {key}, which holds no value{did_you_mean(key, keys_of(self._class))}")
        return self._value(key)


@cache_by_class
def _by_attribute(config_class: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    return {attribute_of(field): field for field in fields_of(config_class)}


def obeys_validators(config: Any) -> bool:
    """Whether an instance breaks no validator. Quicker than :func:`check_validators`, so tried first."""
    try:
        return all(rule.test(config) is None for rule in validators_of(type(config)))
    except Exception:  # the author's mistake, which check_validators() reports, or an older rule
        return False


def check_validators(found: CheckResult, prefix: str = "") -> list[Violation]:
    """The violations of the validators, run with valid values. A key that has a violation gets no second one.

    Raises:
        TypeError: a validator reads a name that is no field, or returns neither a Failure nor None.
    """
    reported, broken = {violation.key for violation in found.violations}, []
    for rule in validators_of(found.config_class):
        if f"{prefix}{rule.key}" in reported:
            continue
        read: dict[str, None] = {}
        try:
            failure = rule.test(ValidValues(found, rule.hints, read=read))
        except NotValid:
            continue
        except TypeError as error:
            raise TypeError(f"{found.config_class.__qualname__}: {rule.name} {error}") from error
        if failure is not None:
            broken.append(_violation(rule, failure, found, prefix, [key for key in read if key != rule.key]))
    return broken


def _violation(rule: Validator, failure: object, found: CheckResult, prefix: str, others: list[str]) -> Violation:
    if not isinstance(failure, Failure):
        raise TypeError(f"{rule.name} must return a Failure or None, not {failure!r}")

    def value_at(key: str) -> Any:
        with suppress(NotValid):
            return found.at(key)
        return ABSENT

    def named(match: re.Match[str]) -> str:
        value = value_at(match[1])
        return match[0] if value is ABSENT else f"{prefix}{match[1]} = {format_value(value)}"

    return Violation(
        f"{prefix}{rule.key}",
        value_at(rule.key),
        re.sub(r"\{([\w.-]+)\}", named, failure.rule),
        remedy={f"{prefix}{key}": value for key, value in failure.remedy.items()},
        others=dict.fromkeys(f"{prefix}{key}" for key in others),
    )
