"""A configuration is checked completely, against the rules of its fields and between them."""

from dataclasses import dataclass

import pytest

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.fields import choice, flag, integer, number, text
from gpt2hydra.config.sections import section
from gpt2hydra.config.validation import Checked, check
from gpt2hydra.config.validators import Failure, validator


@dataclass(frozen=True)
class Inner(Checked):
    low: int = integer(1, "lower end", at_most=100)
    high: int = integer(10, "upper end", at_most=100)

    @validator("low")
    def _ordered(self) -> Failure | None:
        return Failure("must be ≤ {high}", {"low": self.high}) if self.low > self.high else None


@dataclass(frozen=True)
class Outer(Checked):
    name: str = text(doc="a name")
    inner: Inner = section(Inner, "a section")
    mode: str = choice("slow", "how", ("slow", "fast"))
    ready: bool = flag(False, "whether")
    share: float | None = number(None, "a share", at_least=0, at_most=1, optional=True)


def test_every_level_is_checked_at_once_in_the_order_of_the_fields() -> None:
    with pytest.raises(ConfigError) as caught:
        Outer.from_dict({"inner": {"low": 20, "hi": 3}, "mode": "fst", "ready": "yes", "share": 2, "extra": 1})
    assert [(violation.key, violation.suggestion) for violation in caught.value.violations] == [
        ("name", "name=..."),
        ("inner.low", "inner.low=10"),
        ("inner.hi", "inner.high=3"),
        ("mode", "mode=fast"),
        ("ready", "ready=true"),
        ("share", ""),
        ("extra", ""),
    ]


def test_validators_use_defaults_for_keys_that_are_not_given() -> None:
    violations = check(Outer, {"name": "x", "inner": {"low": 50}}).violations
    assert [str(violation) for violation in violations] == ["inner.low = 50\n  must be ≤ inner.high = 10\n  try: inner.low=10"]


def test_validators_of_invalid_keys_are_not_run() -> None:
    assert check(Outer, {"name": "x", "inner": {"low": 50}}, known_wrong=frozenset({"inner.high"})).violations == []


def test_a_section_must_be_a_mapping() -> None:
    with pytest.raises(ConfigError, match="must be a section with the keys of Inner, not an integer"):
        Outer.from_dict({"name": "x", "inner": 3})


def test_a_validator_that_reads_no_field_is_a_mistake_of_the_program() -> None:
    @dataclass(frozen=True)
    class Wrong(Inner):
        @validator("low")
        def _rule(self) -> Failure | None:
            return Failure("too high") if self.hihg else None  # type: ignore[attr-defined]

    with pytest.raises(TypeError, match=r"Wrong: the validator _rule reads hihg, which is no field; did you mean high\?"):
        Wrong()


def test_a_validator_must_say_how_it_fails() -> None:
    @dataclass(frozen=True)
    class Wrong(Inner):
        @validator("low")
        def _rule(self) -> Failure | None:
            return "too low"  # type: ignore[return-value]

    with pytest.raises(TypeError, match="the validator _rule must return a Failure or None, not 'too low'"):
        Wrong()


@dataclass(frozen=True)
class Rich(Checked):
    """Its rule reads a section, a property, a method and a hint."""

    inner: Inner = section(Inner, "a section")
    other: Inner | None = section(Inner, "a section or null", optional=True)
    step: int = integer(1, "step", at_most=100)
    wish: int = integer(3, "only a hint", at_most=100)

    @property
    def width(self) -> int:
        return self.inner.high - self.inner.low

    def steps(self, more: int) -> int:
        return self.width // self.step + more

    @validator("step", hints=("wish",))
    def _few_steps(self) -> Failure | None:
        if self.steps(0) <= 9 and self.other is None:
            return None
        return Failure("needs a {inner.high} nearer {inner.low}" + (f"; {self.wish}" if self.wish else ""), {"step": 9})


def test_a_validator_reads_sections_properties_methods_and_hints() -> None:
    violations = check(Rich, {"inner": {"high": 50}, "wish": 0}, "a.").violations
    rule, wish = violations
    assert (wish.key, rule.key, rule.rule) == ("a.wish", "a.step", "needs a a.inner.high = 50 nearer a.inner.low = 1")
    assert (rule.remedy, list(rule.others)) == ({"a.step": 9}, ["a.inner.high", "a.inner.low"])
    assert [each.key for each in check(Rich, {"inner": {"high": 0}}).violations] == ["inner.high"]
    assert [each.key for each in check(Rich, {"other": {}}).violations] == ["step"]
