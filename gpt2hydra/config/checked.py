"""The check of a configuration against its rules: :class:`Checked`, and what it is made of. Standard library only."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from gpt2hydra.config.errors import ABSENT, ConfigError, Violation, assignment
from gpt2hydra.config.fields import Broken, Relation, Rule
from gpt2hydra.config.fingerprint import fingerprint
from gpt2hydra.config.words import closest, did_you_mean, kind_of, show

C = TypeVar("C", bound="Checked")


class Checked:
    """Base of every configuration dataclass: no instance breaks a rule."""

    RELATIONS: ClassVar[tuple[Relation, ...]] = ()

    def __post_init__(self) -> None:
        values, violations = check(type(self), vars(self))
        if violations:
            raise ConfigError(violations)
        for name, value in values.items():
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
        values, violations = check(cls, mapping, closed=True)
        if violations:
            raise ConfigError(violations)
        return build(cls, values)


def fields_of(config_class: type[Checked]) -> tuple[dataclasses.Field[Any], ...]:
    """The dataclass fields of a configuration class."""
    return dataclasses.fields(config_class)  # type: ignore[arg-type]


def build(config_class: type[C], values: Mapping[str, Any]) -> C:
    """An instance from values that :func:`check` returned."""
    arguments = {}
    for field in fields_of(config_class):
        if field.init and field.name in values:
            value = values[field.name]
            nested = field.metadata.get("section")
            arguments[field.name] = build(nested, value) if nested and isinstance(value, Mapping) else value
    return config_class(**arguments)


def check(
    config_class: type[Checked],
    given: Mapping[str, Any],
    prefix: str = "",
    *,
    closed: bool = False,
    distrusted: frozenset[str] = frozenset(),
) -> tuple[dict[str, Any], list[Violation]]:
    """Check ``given`` against every rule of ``config_class``.

    Args:
        prefix: what stands before each key in a message, for example ``"model."``.
        closed: also report keys that the class does not know, and keys without a default that are absent.
        distrusted: dotted keys (without prefix) that are already known to be wrong; relations over them are not tried.

    Returns:
        The values as the class stores them, and all violations in the order of the fields.
    """
    values: dict[str, Any] = {}
    flat: dict[str, Any] = {}  # dotted key → value, of every key that is valid by itself
    violations: list[Violation] = []
    for field in fields_of(config_class):
        name, nested = field.name, field.metadata.get("section")
        below = frozenset(key[len(name) + 1 :] for key in distrusted if key.startswith(f"{name}."))
        if name in given and nested:
            value, problems = _check_section(nested, given[name], f"{prefix}{name}", closed, below)
            if isinstance(given[name], Mapping):
                flat.update(_defaults(field, below | frozenset(given[name])))
            flat.update({f"{name}.{key}": each for key, each in leaves(value) if key not in below})
        elif "computed" in field.metadata:
            value, problems = _check_computed(field, flat, given, prefix)
        elif name in given:
            value, problems = _check_value(field, given[name], prefix)
        elif closed and _default_of(field) is ABSENT and name not in distrusted:
            value, problems = ABSENT, [missing(f"{prefix}{name}", field)]
        else:
            value, problems = ABSENT, []
            if name not in distrusted:
                flat.update(_defaults(field, below))
        violations += problems
        if value is not ABSENT:
            values[name] = value
            if not nested and not problems and name not in distrusted:
                flat[name] = value
    blamed = {violation.key for violation in violations}
    hashable: Any = config_class  # a class is, whatever its instances are
    for rule in _relations(hashable):
        broken = _check_relation(rule, flat, prefix)
        if broken and broken.key not in blamed:
            violations.append(broken)
    if closed:
        violations += [unknown_key(config_class, key, given[key], prefix) for key in given if not _knows(config_class, key)]
    return values, sorted(violations, key=lambda violation: place(config_class, violation.key[len(prefix) :]))


def _check_value(field: dataclasses.Field[Any], value: Any, prefix: str) -> tuple[Any, list[Violation]]:
    if "rule" not in field.metadata:  # a plain field of somebody's own subclass
        return value, []
    rule: Rule = field.metadata["rule"]
    problem = rule.problem(value)
    if problem is None:
        return rule.stored(value), []
    remedy = rule.remedy(value)
    suggestion = "" if remedy is ABSENT else assignment(f"{prefix}{field.name}", remedy)
    return ABSENT, [Violation(f"{prefix}{field.name}", value, problem, suggestion=suggestion)]


def _check_section(
    nested: type[Checked], value: Any, key: str, closed: bool, distrusted: frozenset[str]
) -> tuple[Any, list[Violation]]:
    if isinstance(value, nested):
        return value, []
    if isinstance(value, Mapping):
        return check(nested, value, f"{key}.", closed=closed, distrusted=distrusted)
    return ABSENT, [Violation(key, value, f"must be a section with the keys of {nested.__name__}, not {kind_of(value)}")]


def _check_computed(
    field: dataclasses.Field[Any], flat: Mapping[str, Any], given: Mapping[str, Any], prefix: str
) -> tuple[Any, list[Violation]]:
    inputs = field.metadata["inputs"]
    if any(name not in flat for name in inputs):
        return ABSENT, []  # what it follows from is already reported
    value = field.metadata["computed"](*(flat[name] for name in inputs))
    if field.name in given and (type(given[field.name]) is not int or given[field.name] != value):
        sources = ", ".join(f"{prefix}{name} = {show(flat[name])}" for name in inputs)
        rule = f"is computed ({field.metadata['doc']}): {value} for {sources}; it cannot be set"
        return ABSENT, [Violation(f"{prefix}{field.name}", given[field.name], rule)]
    return value, []


@functools.cache
def _relations(config_class: Any) -> tuple[Relation, ...]:
    """The relations of a class, each over fields that it has; a misspelt one would never be tried."""
    name: str = config_class.__name__
    for rule in config_class.RELATIONS:
        for key in (*rule.keys, *rule.hints):
            if field_at(config_class, key) is None:
                near = did_you_mean(key, keys_of(config_class))
                raise TypeError(f"{name}: @relation names {key}, which is no field{near}")
    relations: tuple[Relation, ...] = config_class.RELATIONS
    return relations


def _check_relation(rule: Relation, flat: Mapping[str, Any], prefix: str) -> Violation | None:
    if any(key not in flat for key in rule.keys):
        return None
    broken = rule.test(*(flat[key] for key in rule.keys), *(flat.get(key) for key in rule.hints))
    if broken is None:
        return None
    if not isinstance(broken, Broken):
        raise TypeError(f"the @relation over {', '.join(rule.keys)} must return a Broken or None, not {broken!r}")
    message = broken.rule
    for key in rule.keys:
        message = message.replace(f"{{{key}}}", f"{prefix}{key} = {show(flat[key])}")
    suggestion = " ".join(assignment(f"{prefix}{key}", value) for key, value in broken.remedy.items())
    return Violation(f"{prefix}{rule.keys[0]}", flat[rule.keys[0]], message, suggestion=suggestion)


def missing(key: str, field: dataclasses.Field[Any]) -> Violation:
    """The violation of a key that must be given and is not."""
    return Violation(key, rule=f"must be given: {field.metadata['doc']}", suggestion=f"{key}=...")


def unknown_key(config_class: type[Checked], key: object, value: object = ABSENT, prefix: str = "") -> Violation:
    """The violation of a key that ``config_class`` does not know, with the key that was probably meant."""
    near = closest(str(key), (field.name for field in fields_of(config_class)))
    suggestion = _instead(config_class, near, value, prefix) if near else ""
    rule = "unknown key" + (f"; did you mean {prefix}{near}?" if near else f"; known: {_known(config_class)}")
    return Violation(f"{prefix}{show(str(key))}", value, rule, suggestion=suggestion)


def unknown_below(root: type[Checked], key: str, value: object, groups: Sequence[str] = ()) -> Violation:
    """The violation of a dotted key that the schema does not have."""
    parent, _, last = key.rpartition(".")
    above = field_at(root, parent)
    if above is not None and "section" not in above.metadata:
        return Violation(key, value, f"unknown key: {parent} is a single value, it has no keys below it")
    near = _meant(root, key, groups)
    if near is not None:
        return Violation(key, value, f"unknown key; did you mean {near}?", suggestion=_instead(root, near, value))
    section = above.metadata["section"] if above is not None else root
    return dataclasses.replace(unknown_key(section, last if above is not None else key), key=key, value=value)


def _instead(config_class: type[Checked], near: str, value: object, prefix: str = "") -> str:
    """An override of the key that was meant: with the value if that obeys, or what the value was to be, or the default."""
    field = field_at(config_class, near)
    if value is ABSENT or isinstance(value, Mapping) or (field is not None and "computed" in field.metadata):
        return ""
    if field is not None and "section" in field.metadata:  # modle=large
        return assignment(f"{prefix}{near}", value) if isinstance(value, str) else ""
    if field is not None and field.metadata["rule"].problem(value):
        remedy = field.metadata["rule"].remedy(value)
        value = _default_of(field) if remedy is ABSENT else remedy
    return "" if value is ABSENT else assignment(f"{prefix}{near}", value)


def _meant(root: type[Checked], key: str, groups: Sequence[str]) -> str | None:
    """The key that was probably meant: misspelt where it stands, or of another section (``n_head``, ``model.lr``)."""
    here: type[Checked] | None = root
    parts: list[str] = []
    for part in key.split("."):
        names = [field.name for field in fields_of(here)] if here else []
        near = part if part in names else closest(part, [*names, *(groups if not parts else ())])
        if near is None:
            break
        parts.append(near)
        field = field_at(here, near) if here else None
        here = field.metadata.get("section") if field else None
    else:
        return ".".join(parts)
    last = {each: each.rpartition(".")[2] for each in keys_of(root)}
    name = key.rpartition(".")[2]
    near = name if name in last.values() else closest(name, last.values(), cutoff=0.75) or closest(key, last, cutoff=0.75)
    return next((each for each in last if near in (each, last[each])), None)


def _known(config_class: type[Checked]) -> str:
    return ", ".join(field.name for field in fields_of(config_class) if field.init)


def _knows(config_class: type[Checked], key: object) -> bool:
    return any(field.name == key for field in fields_of(config_class))


def _default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return ABSENT if field.default_factory is dataclasses.MISSING else field.default_factory()


def _defaults(field: dataclasses.Field[Any], distrusted: frozenset[str]) -> dict[str, Any]:
    """Dotted key → default, of a field that was not given."""
    default = _default_of(field)
    if isinstance(default, Checked):
        return {f"{field.name}.{key}": each for key, each in leaves(default) if key not in distrusted}
    return {} if default is ABSENT else {field.name: default}


def leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """``(dotted key, value)`` of every leaf of a section, which is an instance or the values of one."""
    if value is ABSENT:
        return
    for name, each in (value if isinstance(value, Mapping) else vars(value)).items():
        if isinstance(each, (Mapping, Checked)):
            yield from ((f"{name}.{key}", leaf) for key, leaf in leaves(each))
        else:
            yield name, each


def field_at(config_class: type[Checked], key: str) -> dataclasses.Field[Any] | None:
    """The field that a dotted key names, or None."""
    name, _, rest = key.partition(".")
    for field in fields_of(config_class):
        if field.name == name:
            nested = field.metadata.get("section")
            if not rest:
                return field
            return field_at(nested, rest) if nested else None
    return None


def keys_of(config_class: type[Checked], prefix: str = "") -> Iterator[str]:
    """Every dotted key that can be set, in the order of the schema."""
    for field in fields_of(config_class):
        if "section" in field.metadata:
            yield from keys_of(field.metadata["section"], f"{prefix}{field.name}.")
        elif field.init:
            yield f"{prefix}{field.name}"


def place(config_class: type[Checked], key: str) -> tuple[int, ...]:
    """Where a dotted key stands in the schema's order; unknown keys come last in their section."""
    name, _, rest = key.partition(".")
    for index, field in enumerate(fields_of(config_class)):
        if field.name == name:
            nested = field.metadata.get("section")
            return (index, *(place(nested, rest) if nested and rest else ()))
    return (len(fields_of(config_class)),)
