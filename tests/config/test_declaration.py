"""A class that is declared wrongly is reported at once, with class and field."""

from dataclasses import dataclass
from typing import Any

import pytest

from gpt2hydra.config.fields import computed, flag, integer, number, text
from gpt2hydra.config.sections import section
from gpt2hydra.config.validation import Checked
from gpt2hydra.config.validators import Failure, validator


@dataclass(frozen=True)
class Range(Checked):
    low: int = integer(1, "lower end", at_most=100)
    high: int = integer(10, "upper end", at_most=100)

    @validator("low")
    def _ordered(self) -> Failure | None:
        return Failure("must be ≤ {high}", {"low": self.high}) if self.low > self.high else None


def declare(**namespace: Any) -> type[Range]:
    """A frozen dataclass that derives from Range, made a section as a configuration of somebody's own would."""
    namespace.setdefault("__annotations__", dict.fromkeys(namespace, Any))
    namespace["__annotations__"].pop("RELATIONS", None)
    namespace["__annotations__"].pop("_rule", None)
    wrong: type[Range] = dataclass(frozen=True)(type("Wrong", (Range,), namespace))
    section(wrong, "a section")
    return wrong


@pytest.mark.parametrize(
    ("namespace", "message"),
    [
        pytest.param({"plain": 3}, "field plain has no rule; declare it with integer", id="no rule"),
        pytest.param({"low": 3}, "field low has no rule", id="an inherited field set anew without its rule"),
        pytest.param({"steps": integer(0, "steps", at_most=9)}, "the default steps = 0 must be ≥ 1", id="default"),
        pytest.param(
            {"hydra": flag(False, "")}, "field hydra has a name that Hydra reads with another meaning", id="a word of Hydra"
        ),
        pytest.param({"No": flag(False, "")}, "field No has a name that YAML reads with another meaning", id="a word of YAML"),
        pytest.param({"_hidden": flag(False, "")}, "field _hidden has a name that Hydra does not accept", id="underscore"),
        pytest.param({"größe": flag(False, "")}, "field größe has a name that Hydra does not accept", id="beyond ASCII"),
        pytest.param({"to_dict": flag(False, "")}, "field to_dict has the name of a method", id="method"),
        pytest.param(
            {"sum": computed(sum, "", "hgih")}, "computed from hgih, which is no field; did you mean high?", id="input"
        ),
        pytest.param(
            {"_rule": validator("hgih")(lambda self: None)},
            "the validator _rule names hgih, which is no field; did",
            id="validator",
        ),
        pytest.param({"RELATIONS": (print,)}, "RELATIONS holds <built-in function print>, which is", id="no relation"),
        pytest.param({"rate": number(1, ""), "__annotations__": {"rate": "int"}}, "rate is annotated int, but its", id="type"),
    ],
)
def test_a_mistake_of_the_author_is_reported_with_class_and_field(namespace: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        declare(**namespace)
    assert f"Wrong: {message}" in str(caught.value) or ("Wrong: field" in str(caught.value) and message in str(caught.value))


def test_all_mistakes_are_reported_at_once() -> None:
    with pytest.raises(TypeError) as caught:
        declare(plain=3, on=flag(False, ""))
    assert [line.partition("Wrong: ")[2].partition(" has")[0] for line in str(caught.value).splitlines()] == [
        "field plain",
        "field on",
    ]


def test_a_config_class_must_be_a_frozen_dataclass() -> None:
    class Bare(Checked):
        low: int = integer(1, "lower end", at_most=100)

    @dataclass
    class Soft(Checked):
        low: int = integer(1, "lower end", at_most=100)

    class Heir(Range):
        more: int = integer(1, "more", at_most=100)

    for wrong in (Bare, Soft, Heir):
        with pytest.raises(TypeError, match=rf"{wrong.__name__}: must be decorated with @dataclass\(frozen=True\)"):
            section(wrong, "a section")
    with pytest.raises(TypeError, match=r"Soft: must be decorated"):
        Soft()


def test_a_class_keeps_the_validators_of_its_bases() -> None:
    @dataclass(frozen=True)
    class Even(Range):
        low: int = integer(2, "lower end", at_most=100)

        @validator("low")
        def _even(self) -> Failure | None:
            return Failure("must be even") if self.low % 2 else None

    assert [each.rule for each in _violations(Even, low=13)] == ["must be ≤ high = 10", "must be even"]
    assert [each.rule for each in _violations(Even, low=3)] == ["must be even"]


def test_a_section_whose_defaults_break_a_rule_between_them_must_be_given() -> None:
    @dataclass(frozen=True)
    class High(Range):
        low: int = integer(50, "lower end", at_most=100)

    @dataclass(frozen=True)
    class Outer(Checked):
        range: High = section(High, "a range")

    with pytest.raises(TypeError, match="range"):
        Outer()
    assert Outer.from_dict({"range": {"high": 60}}).range == High(high=60)


def test_a_subclass_that_declares_nothing_needs_no_decorator() -> None:
    class Mine(Range):
        """It has a method of its own."""

        def width(self) -> int:
            return self.high - self.low

    class Hidden(Range):
        low = 3

    assert Mine(low=2).width() == 8
    with pytest.raises(TypeError, match="Hidden: must be decorated"):
        Hidden()


def _violations(config_class: type[Range], **values: Any) -> Any:
    with pytest.raises(ValueError) as caught:
        config_class(**values)
    return caught.value.violations  # type: ignore[attr-defined]


def test_text_and_sections_without_defaults_may_follow_others() -> None:
    @dataclass(frozen=True)
    class Named(Range):
        name: str = text(doc="a name")

    @dataclass(frozen=True)
    class Whole(Checked):
        ready: bool = flag(False, "whether")
        range: Named = section(Named, "a range")

    with pytest.raises(TypeError, match="range"):
        Whole()
    assert Whole.from_dict({"range": {"name": "x"}}).range == Named(name="x")
    with pytest.raises(ValueError, match=r"range\.name\n    must be given: a name"):
        Whole.from_dict({})
