"""The check of a configuration against its rules: :class:`Checked`, and what it is made of. Standard library only."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from gpt2hydra.config.declaration import mistakes, relations_of
from gpt2hydra.config.errors import ABSENT, ConfigError, Violation
from gpt2hydra.config.fields import Failure, Relation, Rule
from gpt2hydra.config.fingerprint import fingerprint
from gpt2hydra.config.keys import default_of, fields_of, leaves, once_a_class, place
from gpt2hydra.config.unknown_keys import unknown_key
from gpt2hydra.utils.formatting import kind_of, show
from gpt2hydra.utils.quoting import Placeholder

C = TypeVar("C", bound="Checked")


class Checked:
    """Base of every configuration dataclass: no instance breaks a rule.

    A class derives from it, or from one that does, and is a frozen dataclass, whose fields are declared by what
    :mod:`gpt2hydra.fields` has. ``RELATIONS`` are rules between its fields, added to those of its bases.

    Raises:
        ConfigError: naming every broken rule at once.
        TypeError: the class itself is declared wrongly; see :func:`check_declaration`.
    """

    RELATIONS: ClassVar[tuple[Relation, ...]] = ()
    HELP_SUMMARY: ClassVar[tuple[str, ...]] = ()
    """The keys that ``--help`` tells first; all of them where none is named."""

    def __post_init__(self) -> None:
        check_declaration(type(self))
        given = {field.name: getattr(self, field.name) for field in fields_of(type(self)) if field.init}
        values, violations = check(type(self), given)
        if violations:
            raise ConfigError(violations)
        for name, value in _with_sections(type(self), values).items():
            object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Plain nested values, computed ones included; the inverse of :meth:`from_dict`."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

    def fingerprint(self) -> str:
        """16 hex digits of what decides the result, the same on every machine; see :mod:`gpt2hydra.config.fingerprint`."""
        return fingerprint(self)

    @classmethod
    def from_dict(cls: type[C], mapping: Mapping[str, Any]) -> C:
        """Build from plain values. Strict: unknown keys are refused, and computed values, if present, must agree.

        Raises:
            ConfigError: with every violation.
        """
        if not isinstance(mapping, Mapping):
            raise ConfigError([Violation(cls.__name__, mapping, f"must be a mapping, not {kind_of(mapping)}")])
        check_declaration(cls)
        values, violations = check(cls, mapping)
        if violations:
            raise ConfigError(violations)
        return build(cls, values)


def section(config_class: type[Checked], doc: str, *, affects_result: bool = True) -> Any:
    """A field that holds another configuration; it must be given where that has a key without a default."""
    check_declaration(config_class)
    metadata = {"section": config_class, "doc": doc, "affects_result": affects_result}
    if any(violation.value is ABSENT for violation in check(config_class, {})[1]):
        return dataclasses.field(kw_only=True, metadata=metadata)
    return dataclasses.field(default_factory=config_class, metadata=metadata)


_DECLARED: set[type[Any]] = set()
"""The classes that are declared as they should be."""


def check_declaration(config_class: type[Any]) -> None:
    """Look at a class, as early as it is complete: when it becomes a section, a program's configuration, or an object.

    Raises:
        TypeError: it is no frozen dataclass, a field has no rule or a name that Hydra cannot hold, a relation is over a
            field that is not there, a default breaks its own rule, or the defaults break a relation.
    """
    if config_class in _DECLARED:
        return
    found = mistakes(config_class, dir(Checked))
    if not found:
        defaults = [each for each in check(config_class, {})[1] if each.value is not ABSENT]
        found = [f"the default {each.key} = {show(each.value)} {each.rule}" for each in defaults]
    if found:
        name = f"{config_class.__module__}.{config_class.__qualname__}"
        raise TypeError("\n".join(f"{name}: {mistake}" for mistake in found))
    _DECLARED.add(config_class)


def build(config_class: type[C], values: Mapping[str, Any]) -> C:
    """An instance from values that :func:`check` returned."""
    arguments = _with_sections(config_class, values)
    return config_class(**{field.name: arguments[field.name] for field in fields_of(config_class) if field.init})


def _with_sections(config_class: type[Checked], values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` with an instance for every section."""
    sections = {field.name: field.metadata["section"] for field in fields_of(config_class) if "section" in field.metadata}
    return {
        name: build(sections[name], value) if name in sections and isinstance(value, Mapping) else value
        for name, value in values.items()
    }


# ------------------------------------------------------------------------------------------------------------ the check


def check(
    config_class: type[Checked], given: Mapping[str, Any], prefix: str = "", *, known_wrong: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], list[Violation]]:
    """Check ``given``, completed by defaults, against every rule of ``config_class``.

    Args:
        prefix: what stands before each key in a message, for example ``"model."``.
        known_wrong: dotted keys (without prefix) that are already known to be wrong; relations over them are not tried.

    Returns:
        The values as the class stores them, and all violations in the order of the fields.
    """
    values: dict[str, Any] = {}
    valid: dict[str, Any] = {}  # dotted key → value, of every key that is valid by itself
    violations: list[Violation] = []
    fields = _computed_last(config_class)
    for name, field in fields.items():
        key = f"{prefix}{name}"
        if name in known_wrong and name not in given:
            continue
        if "section" in field.metadata:
            value, problems = _check_section(field, given.get(name, {}), key, _below(known_wrong, name))
            valid |= {f"{name}.{each}": leaf for each, leaf in leaves(value) if f"{name}.{each}" not in known_wrong}
        else:
            if "computed" in field.metadata:
                value, problems = _check_computed(field, given.get(name, ABSENT), key, valid)
            else:
                value, problems = _check_value(field, given.get(name, default_of(field)), key)
            if value is not ABSENT and name not in known_wrong:
                valid[name] = value
        violations += problems
        if value is not ABSENT:
            values[name] = value
    violations += _broken_relations(config_class, valid, prefix, {violation.key for violation in violations})
    violations += [unknown_key(config_class, key, given[key], prefix) for key in given if key not in fields]
    return values, sorted(violations, key=lambda violation: place(config_class, violation.key[len(prefix) :]))


@once_a_class
def _computed_last(config_class: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    """The fields by name; what is computed after all that it may be computed from."""
    return {field.name: field for field in sorted(fields_of(config_class), key=lambda field: "computed" in field.metadata)}


def _below(keys: frozenset[str], name: str) -> frozenset[str]:
    """Those of ``keys`` that are of section ``name``, as they are called there."""
    return frozenset(key[len(name) + 1 :] for key in keys if key.startswith(f"{name}."))


def _check_value(field: dataclasses.Field[Any], value: Any, key: str) -> tuple[Any, list[Violation]]:
    if value is ABSENT:
        return ABSENT, [missing(key, field)]
    rule: Rule = field.metadata["rule"]
    problem = rule.problem(value)
    if problem is None:
        return rule.stored(value), []
    nearest = rule.remedy(value)
    return ABSENT, [Violation(key, value, problem, remedy={} if nearest is ABSENT else {key: nearest})]


def _check_section(
    field: dataclasses.Field[Any], value: Any, key: str, known_wrong: frozenset[str]
) -> tuple[Any, list[Violation]]:
    nested = field.metadata["section"]
    if isinstance(value, nested):
        return value, []
    if isinstance(value, Mapping):
        return check(nested, value, f"{key}.", known_wrong=known_wrong)
    return ABSENT, [Violation(key, value, f"must be a section with the keys of {nested.__name__}, not {kind_of(value)}")]


def _check_computed(
    field: dataclasses.Field[Any], value: Any, key: str, valid: Mapping[str, Any]
) -> tuple[Any, list[Violation]]:
    inputs = field.metadata["inputs"]
    if any(name not in valid for name in inputs):
        return ABSENT, []  # what it follows from is already reported
    right = field.metadata["computed"](*(valid[name] for name in inputs))
    if value is ABSENT or (type(value) is type(right) and value == right):
        return right, []
    place = key.removesuffix(field.name)
    sources = ", ".join(f"{place}{name} = {show(valid[name])}" for name in inputs)
    return ABSENT, [Violation(key, value, computed_rule(field, f": {show(right)} for {sources}"))]


def computed_rule(field: dataclasses.Field[Any], here: str = "") -> str:
    """What is told of a computed value that somebody set; ``here``, what it would be."""
    return f"is computed ({field.metadata['doc']}){here}; it cannot be set"


def _broken_relations(
    config_class: type[Checked], valid: Mapping[str, Any], prefix: str, blamed: set[str]
) -> Iterator[Violation]:
    """Of relations whose keys are all valid by themselves; a key that is blamed already is not blamed again."""
    for rule in relations_of(config_class):
        if f"{prefix}{rule.keys[0]}" not in blamed and all(key in valid for key in rule.keys):
            broken = rule.test(*(valid[key] for key in rule.keys), *(valid.get(key) for key in rule.hints))
            if broken is not None:
                yield _broken_relation(rule, broken, valid, prefix)


def _broken_relation(rule: Relation, broken: object, valid: Mapping[str, Any], prefix: str) -> Violation:
    if not isinstance(broken, Failure):
        raise TypeError(f"the @relation over {', '.join(rule.keys)} must return a Failure or None, not {broken!r}")
    message = broken.rule
    for key in rule.keys:
        message = message.replace(f"{{{key}}}", f"{prefix}{key} = {show(valid[key])}")
    blamed, *others = rule.keys
    remedy = {f"{prefix}{key}": value for key, value in broken.remedy.items()}
    return Violation(
        f"{prefix}{blamed}", valid[blamed], message, remedy=remedy, others=dict.fromkeys(f"{prefix}{key}" for key in others)
    )


def missing(key: str, field: dataclasses.Field[Any]) -> Violation:
    """The violation of a key that must be given and is not."""
    return Violation(key, rule=f"must be given: {field.metadata['doc']}", remedy={key: Placeholder("...")})
