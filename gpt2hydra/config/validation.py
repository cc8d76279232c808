"""The check of a configuration: :class:`Checked`, and :func:`check`. Standard library only."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from gpt2hydra.config.annotations import construct, run_own_checks, takes_other_keys
from gpt2hydra.config.declaration import find_mistakes
from gpt2hydra.config.errors import ABSENT, ConfigError, Violation
from gpt2hydra.config.fingerprint import fingerprint
from gpt2hydra.config.keys import (
    attribute_names,
    attribute_of,
    cache_by_class,
    default_of,
    fields_of,
    is_open,
    sort_key,
    to_plain,
    values_of,
)
from gpt2hydra.config.validators import CheckResult, NotValid, check_validators, obeys_validators
from gpt2hydra.config.value_rules import Rule
from gpt2hydra.config.wrong_keys import computed_rule, missing_key, select_section_class, unknown_key
from gpt2hydra.utils.formatting import describe_type, did_you_mean, error_reason, format_value
from gpt2hydra.utils.immutable import FrozenDict, freeze

C = TypeVar("C", bound="Checked")


class Checked:
    """Base of every configuration dataclass: no instance breaks a rule.

    A class derives from it, directly or indirectly, and is a frozen dataclass. :mod:`gpt2hydra.fields` has
    the functions that declare its fields. Rules between fields are methods under ``@validator``. A subclass
    that declares nothing needs no decorator. ``class Trainer(Checked, extra="allow")`` also accepts other
    keys, and keeps them in ``extra``.

    Raises:
        ConfigError: with every broken rule.
        TypeError: the class itself is declared wrongly; see :func:`check_declaration`.
    """

    EXTRA: ClassVar[Literal["forbid", "allow"]] = "forbid"
    HAS_SCHEMA: ClassVar[bool] = True
    """Whether its primary config lists a schema, which Hydra merges into the config."""
    RELATIONS: ClassVar[tuple[Any, ...]] = ()
    """Rules between fields, declared in the older way."""
    HELP_SUMMARY: ClassVar[tuple[str, ...]] = ()
    """The keys that ``--help`` shows first; all keys if it is empty."""

    if TYPE_CHECKING:

        @property
        def extra(self) -> Mapping[str, Any]:
            """The other keys of a class that accepts them, with their values."""

    def __init_subclass__(cls, extra: Literal["forbid", "allow"] | None = None, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if extra == "allow" and not is_open(cls):
            cls.EXTRA = "allow"
            cls.__annotations__["extra"] = Mapping[str, Any]
            cls.extra = dataclasses.field(default=FrozenDict(), kw_only=True, metadata={"extra": True})  # type: ignore[method-assign, assignment]

    def __post_init__(self) -> None:
        check_declaration(type(self))
        fields = fields_of(type(self))
        given = {each.name: getattr(self, attribute_of(each)) for each in fields if each.init}
        if is_open(type(self)):
            given |= self.extra
        _set_attributes(self, valid_values(type(self), {key: value for key, value in given.items() if value is not ABSENT}))

    def to_dict(self) -> dict[str, Any]:
        """Plain nested values by key, computed ones included; the inverse of :meth:`from_dict`."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    def fingerprint(self) -> str:
        """16 hex digits of what affects the result; see :mod:`gpt2hydra.config.fingerprint`."""
        return fingerprint(self)

    @classmethod
    def from_dict(cls: type[C], mapping: Mapping[str, Any]) -> C:
        """Build an instance from plain values. Strict: keys must be known, and computed values correct.

        Raises:
            ConfigError: with every violation.
        """
        if not isinstance(mapping, Mapping):
            raise ConfigError([Violation(cls.__name__, mapping, f"must be a mapping, not {describe_type(mapping)}")])
        check_declaration(cls)
        return build(cls, valid_values(cls, mapping))


@cache_by_class
def check_declaration(config_class: type[Any]) -> None:
    """Check a class before its use as a section, as a program's configuration, or for an instance.

    Raises:
        TypeError: it is no frozen dataclass, a field has no rule or a name that Hydra cannot hold, a
            validator names an unknown field, or a default breaks its own rule.
    """
    name = f"{config_class.__module__}.{config_class.__qualname__}"
    if issubclass(config_class, Checked):
        found = find_mistakes(config_class, dir(Checked))
        if found:
            raise TypeError("\n".join(f"{name}: {mistake}" for mistake in found))
        check_validators(check(config_class, {}))  # reports a validator that reads an unknown name


def build(config_class: type[C], values: Mapping[str, Any]) -> C:
    """Return an instance from values of :func:`check` without violations. They are not checked again."""
    if not issubclass(config_class, Checked):
        return construct(config_class, values)
    made = _make_unchecked(config_class, values)
    if config_class.__post_init__ is not Checked.__post_init__:  # the class does more than check
        made = dataclasses.replace(made)  # type: ignore[type-var]
    return made


def _make_unchecked(config_class: type[C], values: Mapping[str, Any]) -> C:
    """Return an instance that holds ``values`` unchecked."""
    made = object.__new__(config_class)
    _set_attributes(made, values)
    return made


def _set_attributes(config: Checked, values: Mapping[str, Any]) -> None:
    """Set the attributes of a frozen configuration from values by key."""
    names = attribute_names(type(config))
    for key, attribute in names.items():
        if key in values:
            object.__setattr__(config, attribute, values[key])
    if is_open(type(config)):
        object.__setattr__(config, "extra", freeze({key: values[key] for key in values if key not in names}))


# ------------------------------------------------------------------------------------------------------------ the check


def check(
    config_class: type[Any], given: Mapping[str, Any], prefix: str = "", known_wrong: frozenset[str] = frozenset()
) -> CheckResult:
    """Check ``given``, completed by defaults, against every rule of ``config_class``.

    Args:
        config_class: a ``Checked``, a plain dataclass, or a pydantic model.
        given: values by key; an instance is a section that is valid.
        prefix: text before each key in a message, for example ``"model."``.
        known_wrong: dotted keys (without prefix) that are already known to be wrong; validators that read
            them do not run.
    """
    found = CheckResult(config_class)
    fields = _fields_in_check_order(config_class)
    for name, each in fields.items():
        if name in known_wrong and name not in given:
            continue
        rule: Rule | None = each.metadata.get("rule")
        if rule is None and "computed" not in each.metadata:
            _check_section(found, each, given, prefix, _keys_in_section(known_wrong, name) if known_wrong else known_wrong)
            continue
        if rule is None:
            value, problems = _check_computed(found, each, given.get(name, ABSENT), prefix)
        else:
            value, problems = _check_value(each, rule, given[name] if name in given else default_of(each), prefix)
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
    if issubclass(config_class, Checked):
        if found.violations or known_wrong or not obeys_validators(_make_unchecked(config_class, found.values)):
            found.violations += check_validators(found, prefix)
    elif not found.violations and not known_wrong:
        found.violations += run_own_checks(config_class, {**found.values, **others}, prefix)
    found.violations.sort(key=lambda violation: sort_key(config_class, violation.key[len(prefix) :]))
    return found


def valid_values(config_class: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of ``given``, completed by defaults, as the class stores them.

    Raises:
        ConfigError: with every violation.
    """
    found = check(config_class, given)
    if found.violations:
        raise ConfigError(found.violations)
    return found.values


@cache_by_class
def _fields_in_check_order(config_class: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    """Key → field, in the order of the check: computed fields after all fields that they may read."""
    return {each.name: each for each in sorted(fields_of(config_class), key=lambda each: "computed" in each.metadata)}


def _keys_in_section(keys: frozenset[str], name: str) -> frozenset[str]:
    """The keys of section ``name`` among ``keys``, without that name."""
    return frozenset(key[len(name) + 1 :] for key in keys if key.startswith(f"{name}."))


def _check_value(each: dataclasses.Field[Any], rule: Rule, value: Any, prefix: str) -> tuple[Any, list[Violation]]:
    if value is ABSENT:
        return ABSENT, [missing_key(f"{prefix}{each.name}", each)]
    problems = rule.all_problems(value)
    if not problems:
        return rule.convert(value), []
    key, nearest = f"{prefix}{each.name}", rule.remedy(value)
    remedy = {} if nearest is ABSENT else {key: nearest}
    return ABSENT, [Violation(f"{key}{path}", part, words, remedy=remedy) for path, part, words in problems]


def _check_computed(found: CheckResult, each: dataclasses.Field[Any], value: Any, prefix: str) -> tuple[Any, list[Violation]]:
    key = f"{prefix}{each.name}"
    try:
        inputs = {f"{prefix}{name}": found.at(name) for name in each.metadata["inputs"]}
    except NotValid:
        return ABSENT, []  # the violations of its inputs are already reported
    sources = ", ".join(f"{path} = {format_value(given)}" for path, given in inputs.items())
    try:
        right = each.metadata["computed"](*inputs.values())
    except Exception as error:  # a formula of a user's class may raise anything
        rule = f"cannot be computed ({each.metadata['doc']}) for {sources}: {error_reason(error)}"
        return ABSENT, [Violation(key, rule=rule, others=dict.fromkeys(inputs))]
    if value is ABSENT or (type(value) is type(right) and value == right):
        return right, []
    return ABSENT, [Violation(key, value, computed_rule(each, f": {format_value(right)} for {sources}"))]


# ------------------------------------------------------------------------------------------------------------- sections


def _check_section(
    found: CheckResult, each: dataclasses.Field[Any], given: Mapping[str, Any], prefix: str, known_wrong: frozenset[str]
) -> None:
    """Check a section, and add it to ``found``: as an instance of its class, if it has no violation."""
    name, key, optional = each.name, f"{prefix}{each.name}", each.metadata.get("optional")
    value = given.get(name, ABSENT)
    if value is ABSENT and each.metadata.get("must_exist"):
        rule = f"must be a section of the config, but is missing{did_you_mean(name, map(str, given))}"
        found.violations.append(Violation(key, rule=rule))
        return
    if value is ABSENT and not optional:
        value = {} if each.default_factory is dataclasses.MISSING else each.default_factory()
    if optional and (value is None or value is ABSENT):
        found.values[name] = found.sections[name] = None
        return
    kind, problems = select_section_class(each, value, key)
    found.violations += problems
    if kind is None:
        return
    if isinstance(value, kind):
        found.values[name] = value
        found.sections[name] = CheckResult.of(value, known_wrong) if known_wrong else value
        return
    values = value if isinstance(value, Mapping) else values_of(value)  # an instance of the class without the added keys
    if ignored := each.metadata.get("ignored"):
        values = {path: part for path, part in values.items() if path not in ignored}
    inner = check(kind, values, f"{key}.", known_wrong)
    found.violations += inner.violations
    is_right = not inner.violations and not known_wrong
    found.values[name] = build(kind, inner.values) if is_right else inner.values
    found.sections[name] = found.values[name] if is_right else inner
