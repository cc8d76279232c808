"""The check of a configuration against its rules: :class:`Checked`, and what it is made of. Standard library only."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from gpt2hydra.config.annotations import construct, is_plain, own_violations, takes_other_keys
from gpt2hydra.config.declaration import TARGET_KEYS, mistakes
from gpt2hydra.config.errors import ABSENT, ConfigError, Violation
from gpt2hydra.config.fingerprint import fingerprint
from gpt2hydra.config.keys import (
    attribute_of,
    attributes,
    default_of,
    fields_of,
    is_open,
    leaves,
    once_a_class,
    place,
    sections_in,
    sections_of,
    settable_attributes,
    values_of,
)
from gpt2hydra.config.rules import Rule
from gpt2hydra.config.unknown_keys import unknown_key
from gpt2hydra.config.validators import Relation, failures
from gpt2hydra.utils.formatting import closest, did_you_mean, kind_of, reason_of, show
from gpt2hydra.utils.immutable import FrozenDict, freeze
from gpt2hydra.utils.quoting import Placeholder

C = TypeVar("C", bound="Checked")


class Checked:
    """Base of every configuration dataclass: no instance breaks a rule.

    A class derives from it, or from one that does, and is a frozen dataclass, whose fields are declared by
    what :mod:`gpt2hydra.fields` has. Rules between fields are methods under ``@validator``. A class that
    declares nothing of its own needs no decorator. ``class Trainer(Checked, extra="allow")`` takes other keys
    too, and keeps them in ``extra``.

    Raises:
        ConfigError: naming every broken rule at once.
        TypeError: the class itself is declared wrongly; see :func:`check_declaration`.
    """

    EXTRA: ClassVar[Literal["forbid", "allow"]] = "forbid"
    HAS_SCHEMA: ClassVar[bool] = True
    """Whether its primary config lists a schema, which Hydra merges into the config."""
    RELATIONS: ClassVar[tuple[Relation, ...]] = ()
    HELP_SUMMARY: ClassVar[tuple[str, ...]] = ()
    """The keys that ``--help`` shows first; all of them where none is named."""

    if TYPE_CHECKING:

        @property
        def extra(self) -> Mapping[str, Any]:
            """The other keys of a class that takes them, and their values."""

    def __init_subclass__(cls, extra: Literal["forbid", "allow"] | None = None, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if extra == "allow" and not is_open(cls):
            cls.EXTRA = "allow"
            cls.__annotations__["extra"] = Mapping[str, Any]
            cls.extra = field(default=FrozenDict(), kw_only=True, metadata={"extra": True})  # type: ignore[method-assign, assignment]

    def __post_init__(self) -> None:
        check_declaration(type(self))
        given = {key: getattr(self, attribute) for key, attribute in settable_attributes(type(self)).items()}
        if is_open(type(self)):
            given |= self.extra
        found = check(type(self), {key: value for key, value in given.items() if value is not ABSENT})
        if found.violations:
            raise ConfigError(found.violations)
        for name, value in _arguments(type(self), found.values).items():
            object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Plain nested values by key, computed ones included; the inverse of :meth:`from_dict`."""
        return {key: to_plain(value) for key, value in values_of(self).items() if value is not None or key not in TARGET_KEYS}

    def fingerprint(self) -> str:
        """16 hex digits of what affects the result, the same on every machine; see :mod:`gpt2hydra.config.fingerprint`."""
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
        found = check(cls, mapping)
        if found.violations:
            raise ConfigError(found.violations)
        return build(cls, found.values)


def to_plain(value: Any) -> Any:
    """A stored value in what YAML and JSON hold: sections as dictionaries, tuples as lists."""
    if isinstance(value, Checked):
        return value.to_dict()
    if is_plain(type(value)):
        return {key: to_plain(each) for key, each in values_of(value).items()}
    if isinstance(value, Mapping):
        return {key: to_plain(each) for key, each in value.items()}
    return [to_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


@once_a_class
def check_declaration(config_class: type[Any]) -> None:
    """Check a class, as early as it is complete: when it becomes a section, a program's configuration, or an object.

    Raises:
        TypeError: it is no frozen dataclass, a field has no rule or a name that Hydra cannot hold, a rule
            between fields is about one that is not there, or a default breaks its own rule.
    """
    name = f"{config_class.__module__}.{config_class.__qualname__}"
    if issubclass(config_class, Checked):
        found = mistakes(config_class, dir(Checked))
        if found:
            raise TypeError("\n".join(f"{name}: {mistake}" for mistake in found))
        check(config_class, {})  # so that a validator that reads what is no field is found now


def build(config_class: type[C], values: Mapping[str, Any]) -> C:
    """An instance from values that :func:`check` returned without a violation; they are not checked again."""
    if not issubclass(config_class, Checked):
        return construct(config_class, values)
    arguments = _arguments(config_class, values)
    if config_class.__post_init__ is not Checked.__post_init__:  # a class that does more than check
        fields = own_fields(config_class).values()
        computed = {attribute_of(each) for each in fields if not each.init}
        return config_class(**{name: value for name, value in arguments.items() if name not in computed})
    made = object.__new__(config_class)
    for name, value in arguments.items():
        object.__setattr__(made, name, value)
    return made


def _arguments(config_class: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` by the names of Python."""
    names = attributes(config_class)
    own = {attribute: values[key] for key, attribute in names.items() if key in values}
    return {**own, "extra": freeze({key: values[key] for key in values if key not in names})} if is_open(config_class) else own


# ------------------------------------------------------------------------------------------------------------ the check


@dataclass
class CheckResult:
    """What became of the values of one section, and everything that is wrong, in the order of the fields.

    ``values`` are as the class stores them, an instance for each section. ``valid`` has every dotted key that
    is valid by itself, ``sections`` the class of each section by its dotted key, None where it is null.
    """

    values: dict[str, Any] = field(default_factory=dict)
    valid: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, type[Any] | None] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    def of_section(self, name: str) -> CheckResult:
        """What became of one section that is valid."""
        valid = {key: value for key, value in self.valid.items() if key.startswith(f"{name}.")}
        sections = {key: kind for key, kind in self.sections.items() if f"{key}.".startswith(f"{name}.")}
        return CheckResult({name: self.values[name]}, valid, sections)

    def add(self, section: CheckResult) -> None:
        """Add what became of a section."""
        self.values |= section.values
        self.valid |= section.valid
        self.sections |= section.sections


def check(
    config_class: type[Any],
    given: Mapping[str, Any],
    prefix: str = "",
    known_wrong: frozenset[str] = frozenset(),
    found: CheckResult | None = None,
) -> CheckResult:
    """Check ``given``, completed by defaults, against every rule of ``config_class``.

    Args:
        config_class: a ``Checked``, a plain dataclass, or a pydantic model.
        prefix: what stands before each key in a message, for example ``"model."``.
        known_wrong: dotted keys (without prefix) that are already known to be wrong; validators that read
            them do not run.
        found: sections that were checked before, and are not given; the result of all else is added to it.
    """
    found = found or CheckResult()
    found.given, before = given, frozenset(found.values)
    fields = own_fields(config_class)
    for name, each in fields.items():
        metadata = each.metadata
        if name in before or (name in known_wrong and name not in given):
            continue
        if "rule" not in metadata and sections_of(each):
            _examine_section(found, each, given.get(name, ABSENT), prefix, _below(known_wrong, name))
            continue
        if "computed" in metadata:
            value, problems = _check_computed(each, given.get(name, ABSENT), f"{prefix}{name}", found.valid)
        else:
            value, problems = _check_value(each, given.get(name, default_of(each)), f"{prefix}{name}")
        if problems:
            found.violations += problems
        if value is not ABSENT:
            found.values[name] = value
            if name not in known_wrong:
                found.valid[name] = value
    others = {str(key): value for key, value in given.items() if key not in fields}
    if is_open(config_class):
        found.values |= freeze(others)
    elif others and not takes_other_keys(config_class):
        found.violations += [unknown_key(config_class, key, value, prefix) for key, value in others.items()]
    blamed = {violation.key for violation in found.violations}
    if issubclass(config_class, Checked):
        found.violations += failures(config_class, found.valid, found.sections, prefix, blamed)
    elif not blamed and not known_wrong:
        found.violations += own_violations(config_class, {**found.values, **others}, prefix)
    found.violations.sort(key=lambda violation: place(config_class, violation.key[len(prefix) :]))
    return found


@once_a_class
def own_fields(config_class: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    """The fields by key; what is computed after all that it may be computed from."""
    return {each.name: each for each in sorted(fields_of(config_class), key=lambda each: "computed" in each.metadata)}


def _below(keys: frozenset[str], name: str) -> frozenset[str]:
    """Those of ``keys`` that are of section ``name``, as they are called there."""
    return frozenset(key[len(name) + 1 :] for key in keys if key.startswith(f"{name}."))


def _check_value(each: dataclasses.Field[Any], value: Any, key: str) -> tuple[Any, list[Violation]]:
    if value is ABSENT:
        return ABSENT, [missing(key, each)]
    rule: Rule = each.metadata["rule"]
    problems = rule.all_problems(value)
    if not problems:
        return rule.stored(value), []
    nearest = rule.remedy(value)
    remedy = {} if nearest is ABSENT else {key: nearest}
    return ABSENT, [Violation(f"{key}{path}", part, words, remedy=remedy) for path, part, words in problems]


def _examine_section(
    found: CheckResult, each: dataclasses.Field[Any], value: Any, prefix: str, known_wrong: frozenset[str]
) -> None:
    """Add to ``found`` what becomes of a section: an instance of its class where nothing in it is wrong."""
    name, key = each.name, f"{prefix}{each.name}"
    if value is ABSENT and each.metadata.get("must_exist"):
        near = did_you_mean(name, map(str, found.given))
        found.violations.append(Violation(key, rule=f"must be a section of the config, and is not there{near}"))
        return
    if value is ABSENT:
        value = {} if each.default_factory is dataclasses.MISSING else each.default_factory()
        value = None if each.metadata.get("optional") else value
    if value is None and each.metadata.get("optional"):
        found.values[name] = found.sections[name] = None
        return
    kind, problems = _class_of(each, value, key)
    found.violations += problems
    if kind is None:
        return
    if isinstance(value, kind):
        inner = CheckResult(values_of(value), dict(leaves(value)), dict(sections_in(value)))
        found.values[name] = value
    else:
        ignored = each.metadata.get("ignored", ())
        values = value if isinstance(value, Mapping) else values_of(value)  # of a class that is extended here
        inner = check(kind, {path: part for path, part in values.items() if path not in ignored}, f"{key}.", known_wrong)
        ready = not inner.violations and not known_wrong
        found.values[name] = build(kind, inner.values) if ready else inner.values
    found.valid |= {f"{name}.{path}": leaf for path, leaf in inner.valid.items() if path not in known_wrong}
    found.sections |= {name: kind, **{f"{name}.{path}": nested for path, nested in inner.sections.items()}}
    found.violations += inner.violations


def _class_of(each: dataclasses.Field[Any], value: Any, key: str) -> tuple[type[Any] | None, list[Violation]]:
    """What a section becomes: its class, that of its discriminator, or None and what is wrong."""
    classes = sections_of(each)
    if any(isinstance(value, nested) for nested in classes):
        return type(value), []
    kind = next((nested for nested in classes if nested.__base__ is type(value)), None)
    if kind is not None:
        return kind, []
    names = ", or ".join(nested.__name__ for nested in classes)
    if not isinstance(value, Mapping):
        null = " or null" if each.metadata.get("optional") else ""
        return None, [Violation(key, value, f"must be a section with the keys of {names}{null}, not {kind_of(value)}")]
    if "section" in each.metadata:
        return classes[0], []
    return _variant(each, value, key)


def _variant(each: dataclasses.Field[Any], value: Mapping[str, Any], key: str) -> tuple[type[Any] | None, list[Violation]]:
    """The class that the discriminator of a union names."""
    variants, key = each.metadata["variants"], f"{key}.{each.metadata['discriminator']}"
    given = value.get(each.metadata["discriminator"], ABSENT)
    kind = variants.get(given) if isinstance(given, (str, int)) and not isinstance(given, bool) else None
    if kind is not None:
        return kind, []
    known = ", ".join(map(show, variants))
    if given is ABSENT:
        return None, [Violation(key, rule=f"must be given: one of {known}", remedy={key: Placeholder("...")})]
    near = closest(str(given), map(str, variants))
    return None, [Violation(key, given, f"must be one of {known}", remedy={key: near} if near else {})]


def _check_computed(
    each: dataclasses.Field[Any], value: Any, key: str, valid: Mapping[str, Any]
) -> tuple[Any, list[Violation]]:
    inputs = each.metadata["inputs"]
    if any(name not in valid for name in inputs):
        return ABSENT, []  # what it follows from is already reported
    place = key.removesuffix(each.name)
    sources = ", ".join(f"{place}{name} = {show(valid[name])}" for name in inputs)
    try:
        right = each.metadata["computed"](*(valid[name] for name in inputs))
    except Exception as error:  # a formula of a user's class raises what it likes
        rule = f"cannot be computed ({each.metadata['doc']}) for {sources}: {reason_of(error)}"
        return ABSENT, [Violation(key, rule=rule, others={f"{place}{name}": None for name in inputs})]
    if value is ABSENT or (type(value) is type(right) and value == right):
        return right, []
    return ABSENT, [Violation(key, value, computed_rule(each, f": {show(right)} for {sources}"))]


def computed_rule(each: dataclasses.Field[Any], here: str = "") -> str:
    """What is reported of a computed value that somebody set; ``here``, what it would be."""
    return f"is computed ({each.metadata['doc']}){here}; it cannot be set"


def missing(key: str, each: dataclasses.Field[Any]) -> Violation:
    """The violation of a key that must be given and is not."""
    return Violation(key, rule=f"must be given: {each.metadata['doc']}", remedy={key: Placeholder("...")})
