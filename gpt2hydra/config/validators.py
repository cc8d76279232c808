"""Rules between fields: methods of their class under :func:`validator`. Standard library only.

A validator reads fields by their names, ``self.n_embd``, ``self.model.n_positions``, and returns a
:class:`Failure` or None. It runs once each value that it reads is valid by itself::

    @validator("n_head")
    def _heads_divide_width(self) -> Failure | None:
        return Failure("must divide {n_embd}", {"n_head": 1}) if self.n_embd % self.n_head else None
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from gpt2hydra.config.errors import ABSENT, Violation
from gpt2hydra.config.keys import attribute_of, fields_of, once_a_class, sections_of
from gpt2hydra.utils.formatting import did_you_mean, show

F = TypeVar("F", bound=Callable[..., "Failure | None"])

_MARK = "gpt2hydra_validator"
"""Where a method keeps the keys that :func:`validator` was given."""


@dataclass(frozen=True)
class Failure:
    """How a rule between fields is broken.

    In ``rule``, ``{key}`` stands for that key and its value; ``remedy`` is what to set.
    """

    rule: str
    remedy: Mapping[str, object] = dataclasses.field(default_factory=dict)


def validator(key: str, *, hints: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Declare a method to be a rule between fields.

    Args:
        key: the dotted key that a report blames.
        hints: attributes that are None where they are not valid by themselves: they may improve the message.
    """

    def mark(method: F) -> F:
        setattr(method, _MARK, (key, hints))
        return method

    return mark


@dataclass(frozen=True)
class Relation:
    """The older way to declare a rule between fields: ``test`` gets the values of dotted keys, then those of ``hints``."""

    keys: tuple[str, ...]
    hints: tuple[str, ...]
    test: Callable[..., Failure | None]

    def __call__(self, config: Any) -> Failure | None:
        """What ``test`` returns for a :class:`ValidValues`."""
        values = [config.at(key) for key in self.keys]
        return self.test(*values, *(config.at(key) for key in self.hints))


@dataclass(frozen=True)
class Validator:
    """One rule between the fields of a class; ``name`` is how a message calls it, ``keys`` what it surely reads."""

    name: str
    key: str
    hints: tuple[str, ...]
    test: Callable[[Any], Failure | None]
    keys: tuple[str, ...] = ()


@once_a_class
def validators_of(config_class: type[Any]) -> tuple[Validator, ...]:
    """The rules between the fields of a class: those of its bases first. One of the same name replaces a base's."""
    found: dict[str, Validator] = {}
    for base in reversed(config_class.__mro__):
        for name, each in vars(base).items():
            if hasattr(each, _MARK):
                key, hints = getattr(each, _MARK)
                found[name] = Validator(f"the validator {name}", key, hints, each)
            elif name in found:
                del found[name]
        for each in vars(base).get("RELATIONS", ()):
            if isinstance(each, Relation):
                name = f"the @relation over {', '.join(each.keys)}"
                found.setdefault(f"{id(each)}", Validator(name, each.keys[0], each.hints, each, (*each.keys, *each.hints)))
    return tuple(found.values())


class NotValid(Exception):
    """A validator reads a value that is not valid by itself; it is reported already."""


class ValidValues:
    """What a validator has for ``self``: the values that are valid by themselves, under the names of the class."""

    def __init__(
        self,
        config_class: type[Any],
        values: Mapping[str, Any],
        sections: Mapping[str, type[Any] | None],
        hints: tuple[str, ...] = (),
        prefix: str = "",
        read: dict[str, None] | None = None,
    ) -> None:
        """Args:
        config_class: whose fields and methods there are.
        values: dotted key → value, of every key that is valid by itself.
        sections: dotted key → class of every section; None where it is null.
        hints: keys that are None where they are not valid.
        prefix: the section that this is, with a dot.
        read: the keys that were read, in order; filled.
        """
        self._class, self._values, self._sections, self._hints, self._prefix = config_class, values, sections, hints, prefix
        self._read: dict[str, None] = {} if read is None else read

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # so that isinstance(self.optim, AdamW) says what it says of the real thing
        return self._class

    def __getattr__(self, name: str) -> Any:
        field = _by_attribute(self._class).get(name)
        if field is None:
            return self._of_class(name)
        key = f"{self._prefix}{field.name}"
        if not sections_of(field):
            return self.at(field.name)
        if key not in self._sections:
            raise NotValid
        kind = self._sections[key]
        return None if kind is None else self._below(kind, f"{key}.")

    def _below(self, kind: type[Any], prefix: str) -> ValidValues:
        return ValidValues(kind, self._values, self._sections, self._hints, prefix, self._read)

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

    def at(self, key: str) -> Any:
        """The value under a dotted key."""
        key = f"{self._prefix}{key}"
        if key in self._values:
            if key not in self._hints:
                self._read[key] = None
            return self._values[key]
        if key in self._hints:
            return None
        raise NotValid


@once_a_class
def _by_attribute(config_class: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    return {attribute_of(field): field for field in fields_of(config_class)}


def failures(
    config_class: type[Any], values: Mapping[str, Any], sections: Mapping[str, type[Any] | None], prefix: str, blamed: set[str]
) -> Iterator[Violation]:
    """A violation for each rule that the valid values break; a key that is ``blamed`` already is not blamed again.

    Raises:
        TypeError: a validator reads what is no field, or returns something else.
    """
    for rule in validators_of(config_class):
        if f"{prefix}{rule.key}" in blamed:
            continue
        read: dict[str, None] = {}
        try:
            failure = rule.test(ValidValues(config_class, values, sections, rule.hints, read=read))
        except NotValid:
            continue
        except TypeError as error:
            raise TypeError(f"{config_class.__qualname__}: {rule.name} {error}") from error
        if failure is not None:
            yield _violation(rule, failure, values, prefix, [key for key in read if key != rule.key])


def _violation(rule: Validator, failure: object, values: Mapping[str, Any], prefix: str, others: list[str]) -> Violation:
    if not isinstance(failure, Failure):
        raise TypeError(f"{rule.name} must return a Failure or None, not {failure!r}")

    def named(match: re.Match[str]) -> str:
        key = match[1]
        return f"{prefix}{key} = {show(values[key])}" if key in values else match[0]

    return Violation(
        f"{prefix}{rule.key}",
        values.get(rule.key, ABSENT),
        re.sub(r"\{([\w.-]+)\}", named, failure.rule),
        remedy={f"{prefix}{key}": value for key, value in failure.remedy.items()},
        others=dict.fromkeys(f"{prefix}{key}" for key in others),
    )
