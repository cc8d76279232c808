"""The rules of a configuration, and the error that names every broken one. Standard library only.

A field states its rule where it is declared, and everything else (checks, messages, the Hydra schema, help) derives from
that one place::

    n_head: int = integer(12, "attention heads of each layer", at_least=1, at_most=10_000)

Rules between fields are plain functions under :func:`relation`. A class that derives from :class:`Checked` obeys all of
them from the moment it exists.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

C = TypeVar("C", bound="Checked")

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "(no value)"})()
"""Stands for 'there is no value': a missing key, a field without a default."""

COMMAND_LINE = "the command line: "
"""Begins the source of a value that an override set; the override as typed follows."""


# ---------------------------------------------------------------------------------------------- what a user reads


@dataclass(frozen=True)
class Violation:
    """One broken rule.

    ``key`` is dotted (``model.n_head``), ``value`` what was received, ``rule`` what it must obey, ``origin`` who set it
    (empty in plain Python) and ``suggestion`` an override to paste (``model.n_head=8``), or nothing.
    """

    key: str
    value: object = ABSENT
    rule: str = ""
    origin: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        head = self.key if self.value is ABSENT else f"{self.key} = {show(self.value)}"
        lines = [head, f"  {self.rule}"]
        if self.origin:
            lines.append(f"  {self.origin}")
        if self.suggestion:
            lines.append(f"  try: {self.suggestion}")
        return "\n".join(lines)


class ConfigError(ValueError, AssertionError):
    """A configuration was refused. ``violations`` holds every broken rule; ``str()`` is the report that a user reads.

    It is a ``ValueError``, and an ``AssertionError`` for callers who come from course material that asserts.
    """

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__(self.violations)

    def __str__(self) -> str:
        count = len(self.violations)
        head = f"{count} problem{'s' * (count != 1)} in the configuration; nothing was started."
        return "\n\n".join([head, *(_indent(str(violation)) for violation in self.violations)])


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def show(value: object, width: int = 80) -> str:
    """A value as a user would type it in YAML, on one line of at most ``width`` characters."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int) and value.bit_length() > 128:  # str() itself refuses more than 4,300 digits
        return f"an integer of about {int(value.bit_length() * math.log10(2)) + 1:,} digits"
    text = value if isinstance(value, str) else repr(value)
    if isinstance(value, str) and (not text or text != text.strip() or not text.isprintable()):
        text = repr(text)
    return text if len(text) <= width else f"{text[: width - 20]}... ({len(text):,} characters)"


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that ``word`` was probably meant to be: its beginning, its initials, or misspelt by a little."""
    by_lower = {name.lower(): name for name in known}
    word = word.lower()
    for lower, name in by_lower.items():
        begins = len(word) > 2 and lower.startswith(word)  # hardware=h100
        if begins or (len(word) > 1 and word == "".join(part[:1] for part in lower.split("_"))):  # training.lr
            return name
    import difflib

    found = difflib.get_close_matches(word, by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """``"; did you mean model.n_head?"`` or nothing, to be put behind 'unknown key'."""
    near = closest(word, known)
    return f"; did you mean {prefix}{near}?" if near else ""


# ---------------------------------------------------------------------------------------------- rules of one field


@dataclass(frozen=True)
class Rule:
    """What one value must be. ``str()`` says it in words; :meth:`problem` says how a value breaks it."""

    kind: type
    optional: bool = False
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    choices: tuple[str, ...] = ()

    NAMES: ClassVar[Mapping[type, str]] = {int: "an integer", float: "a number", bool: "true or false", str: "text"}

    def __str__(self) -> str:
        what = "one of " + ", ".join(self.choices) if self.choices else self.NAMES[self.kind]
        return f"{what} {self._range()}".strip() + " or null" * self.optional

    def _range(self) -> str:
        limits = (("≥", self.at_least), (">", self.above), ("≤", self.at_most))
        return " and ".join(f"{sign} {show_number(limit)}" for sign, limit in limits if limit is not None)

    def problem(self, value: object) -> str | None:
        """The rule that ``value`` breaks, as a user reads it, or None. Strict: no bool for int, no text for a number."""
        if value is None and self.optional:
            return None
        accepted: tuple[type, ...] = (int, float) if self.kind is float else (self.kind,)
        if type(value) not in accepted:
            return f"must be {self}, not {_kind_of(value)}"
        if self.choices:
            return None if value in self.choices else f"must be {self}"
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if self.kind is float and not _is_finite(value):
                return f"must be finite: {self}"
            if not (
                (self.at_least is None or value >= self.at_least)
                and (self.above is None or value > self.above)
                and (self.at_most is None or value <= self.at_most)
            ):
                return f"must be {self._range()}"
        return None

    def remedy(self, value: object) -> object:
        """The nearest value that obeys, or ABSENT where none is near."""
        if isinstance(value, str) and self.choices:
            near = closest(value, self.choices)
            return near if near else ABSENT
        if isinstance(value, str) and self.kind is int and value.strip().isdecimal() and len(value) < 20:
            return int(value)
        if isinstance(value, float) and self.kind is int and value.is_integer() and abs(value) < 1e15:
            return int(value)
        return ABSENT

    def stored(self, value: Any) -> Any:
        """``value`` as the field keeps it: an int where a float is meant becomes a float."""
        return float(value) if self.kind is float and value is not None else value


def _kind_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "true or false"
    return {int: "an integer", float: "a number with a decimal point"}.get(type(value), f"a {type(value).__name__}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int too large for a float
        return False


def show_number(value: float) -> str:
    """``10000`` → ``10,000``; a float without a needless fraction."""
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def integer(default: int | None, doc: str, *, at_least: int = 1, at_most: int, optional: bool = False) -> Any:
    """A field that holds a true ``int`` between two bounds."""
    return _field(default, doc, Rule(int, optional, at_least=at_least, at_most=at_most))


def number(
    default: float | None,
    doc: str,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    optional: bool = False,
) -> Any:
    """A field that holds a finite ``float``; an ``int`` is accepted and stored as ``float``."""
    return _field(default, doc, Rule(float, optional, at_least=at_least, above=above, at_most=at_most))


def flag(default: bool, doc: str) -> Any:
    """A field that holds ``True`` or ``False``."""
    return _field(default, doc, Rule(bool))


def text(default: str | None = ABSENT, doc: str = "", *, optional: bool = False, literal: bool = False) -> Any:
    """A field that holds text; without a default it must be given. ``literal``: the command line is taken as it stands."""
    return _field(default, doc, Rule(str, optional), literal=literal)


def choice(default: str, doc: str, choices: tuple[str, ...]) -> Any:
    """A field that holds one of a few words."""
    return _field(default, doc, Rule(str, choices=choices))


def _field(default: object, doc: str, rule: Rule, **more: Any) -> Any:
    metadata = {"rule": rule, "doc": doc, **more}
    if default is ABSENT:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def computed(formula: Callable[..., int], doc: str, *inputs: str) -> dict[str, Any]:
    """Metadata of a ``field(init=False)`` that follows from others; ``formula`` is called with ``inputs``."""
    return {"computed": formula, "inputs": inputs, "doc": doc}


def section(config_class: type[Checked], doc: str) -> Any:
    """A field that holds another configuration."""
    return dataclasses.field(default_factory=config_class, metadata={"section": config_class, "doc": doc})


# ---------------------------------------------------------------------------------------- rules between the fields


@dataclass(frozen=True)
class Broken:
    """How a relation is broken. In ``rule``, ``{key}`` stands for that key and its value; ``remedy`` is what to set."""

    rule: str
    remedy: Mapping[str, object] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Relation:
    """A rule over several dotted keys; the first is the one that a report blames."""

    keys: tuple[str, ...]
    hints: tuple[str, ...]
    test: Callable[..., Broken | None]


def relation(*keys: str, hints: tuple[str, ...] = ()) -> Callable[[Callable[..., Broken | None]], Relation]:
    """Declare a rule between ``keys``. The function gets their values once each is valid by itself.

    The values of ``hints`` follow, None where one is not valid: they may improve the message, the rule is not about them.
    """
    return lambda test: Relation(keys, hints, test)


# --------------------------------------------------------------------------------------------------------- checking


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

    @classmethod
    def from_dict(cls: type[C], mapping: Mapping[str, Any]) -> C:
        """Build from plain values. Strict: unknown keys are refused, and computed values, if present, must agree.

        Raises:
            ConfigError: with every violation.
        """
        if not isinstance(mapping, Mapping):
            raise ConfigError([Violation(cls.__name__, mapping, f"must be a mapping, not {_kind_of(mapping)}")])
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
    for rule in config_class.RELATIONS:
        broken = _check_relation(rule, flat, prefix)
        if broken and broken.key not in blamed:
            violations.append(broken)
    if closed:
        violations += [unknown_key(config_class, key, given[key], prefix) for key in given if not _knows(config_class, key)]
    return values, sorted(violations, key=lambda violation: place(config_class, violation.key[len(prefix) :]))


def _check_value(field: dataclasses.Field[Any], value: Any, prefix: str) -> tuple[Any, list[Violation]]:
    rule: Rule = field.metadata["rule"]
    problem = rule.problem(value)
    if problem is None:
        return rule.stored(value), []
    remedy = rule.remedy(value)
    suggestion = "" if remedy is ABSENT else f"{prefix}{field.name}={show(remedy)}"
    return ABSENT, [Violation(f"{prefix}{field.name}", value, problem, suggestion=suggestion)]


def _check_section(
    nested: type[Checked], value: Any, key: str, closed: bool, distrusted: frozenset[str]
) -> tuple[Any, list[Violation]]:
    if isinstance(value, nested):
        return value, []
    if isinstance(value, Mapping):
        return check(nested, value, f"{key}.", closed=closed, distrusted=distrusted)
    return ABSENT, [Violation(key, value, f"must be a section with the keys of {nested.__name__}, not {_kind_of(value)}")]


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


def _check_relation(rule: Relation, flat: Mapping[str, Any], prefix: str) -> Violation | None:
    if any(key not in flat for key in rule.keys):
        return None
    broken = rule.test(*(flat[key] for key in rule.keys), *(flat.get(key) for key in rule.hints))
    if broken is None:
        return None
    message = broken.rule
    for key in rule.keys:
        message = message.replace(f"{{{key}}}", f"{prefix}{key} = {show(flat[key])}")
    suggestion = " ".join(f"{prefix}{key}={show(value)}" for key, value in broken.remedy.items())
    return Violation(f"{prefix}{rule.keys[0]}", flat[rule.keys[0]], message, suggestion=suggestion)


def missing(key: str, field: dataclasses.Field[Any]) -> Violation:
    """The violation of a key that must be given and is not."""
    return Violation(key, rule=f"must be given: {field.metadata['doc']}", suggestion=f"{key}=...")


def unknown_key(config_class: type[Checked], key: object, value: object = ABSENT, prefix: str = "") -> Violation:
    """The violation of a key that ``config_class`` does not know, with the key that was probably meant."""
    near = closest(str(key), (field.name for field in fields_of(config_class)))
    suggestion = f"{prefix}{near}={show(value)}" if near and not isinstance(value, (Mapping, type(ABSENT))) else ""
    rule = "unknown key" + (f"; did you mean {prefix}{near}?" if near else f"; known: {_known(config_class)}")
    return Violation(f"{prefix}{show(str(key))}", value, rule, suggestion=suggestion)


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
