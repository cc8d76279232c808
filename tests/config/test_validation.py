"""A configuration is checked as a whole, against the rules of its fields and between them."""

from dataclasses import dataclass

import pytest

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.fields import Failure, choice, flag, integer, number, relation, text
from gpt2hydra.config.sections import section
from gpt2hydra.config.validation import Checked, check


@relation("low", "high")
def _ordered(low: int, high: int) -> Failure | None:
    return Failure("must be ≤ {high}", {"low": high}) if low > high else None


@dataclass(frozen=True)
class Inner(Checked):
    low: int = integer(1, "lower end", at_most=100)
    high: int = integer(10, "upper end", at_most=100)
    RELATIONS = (_ordered,)


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


def test_relations_use_defaults_for_what_is_not_given() -> None:
    _, violations = check(Outer, {"name": "x", "inner": {"low": 50}})
    assert [str(violation) for violation in violations] == ["inner.low = 50\n  must be ≤ inner.high = 10\n  try: inner.low=10"]


def test_relations_over_distrusted_keys_are_not_tried() -> None:
    assert check(Outer, {"name": "x", "inner": {"low": 50}}, known_wrong=frozenset({"inner.high"}))[1] == []


def test_a_section_must_be_a_mapping() -> None:
    with pytest.raises(ConfigError, match="must be a section with the keys of Inner, not an integer"):
        Outer.from_dict({"name": "x", "inner": 3})


def test_a_relation_over_a_misspelt_field_is_a_mistake_of_the_program() -> None:
    @dataclass(frozen=True)
    class Wrong(Inner):
        RELATIONS = (relation("low", "hihg")(lambda low, high: None),)

    with pytest.raises(TypeError, match=r"Wrong: @relation names hihg, which is no field; did you mean high\?"):
        Wrong()


def test_a_relation_must_say_how_it_is_broken() -> None:
    @dataclass(frozen=True)
    class Wrong(Inner):
        RELATIONS = (relation("low", "high")(lambda low, high: "too low"),)  # type: ignore[arg-type, return-value]

    with pytest.raises(TypeError, match="must return a Failure or None, not 'too low'"):
        Wrong()
