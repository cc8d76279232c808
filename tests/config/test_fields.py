"""Fields of every kind, in one class: what they take, what they refuse, and what they store."""

import warnings
from dataclasses import dataclass
from typing import Any

import pytest

import gpt2hydra.fields
from gpt2hydra import ConfigError
from gpt2hydra.fields import Checked, anything, choice, either, flag, integer, items, mapping, number, text


@dataclass(frozen=True)
class Every(Checked):
    """A field of every kind."""

    betas: tuple[float, ...] = items(number(at_least=0, at_most=1), "AdamW's betas", default=(0.9, 0.95), at_least=2, at_most=2)
    layers: tuple[int, ...] = items(integer(at_most=9), "layers", default=[])
    weights: Any = mapping(number(at_least=0), "weights of losses", default={"next": 1})
    free: Any = anything("whatever", default=None)
    devices: Any = either(integer(at_most=8), choice(choices=("auto", "none")), doc="devices", default="auto")
    width: int = choice(64, "width", (64, 128))
    kind: str | None = choice(None, "kind", ("a", "b"), optional=True)
    steps: int = integer(doc="steps")
    mode: str = choice(doc="mode", choices=("slow", "fast"))
    rate: float = number(0.1, "the smallest rate", key="lr-min")
    strict: bool | None = flag(None, "strict", optional=True)


GIVEN = {"steps": 10**12, "mode": "slow"}


def test_every_kind_is_stored_immutable_and_comes_back_as_it_was() -> None:
    config = Every.from_dict({**GIVEN, "betas": [0, 1], "free": {"a": [1, {"b": 2}]}, "devices": 2, "lr-min": 1})
    assert (config.betas, config.layers, config.weights, config.rate) == ((0.0, 1.0), (), {"next": 1.0}, 1.0)
    assert config.to_dict() == {
        "betas": [0.0, 1.0],
        "layers": [],
        "weights": {"next": 1.0},
        "free": {"a": [1, {"b": 2}]},
        "devices": 2,
        "width": 64,
        "kind": None,
        "steps": 10**12,
        "mode": "slow",
        "lr-min": 1.0,
        "strict": None,
    }
    assert Every.from_dict(config.to_dict()) == config
    assert hash(config) == hash(Every.from_dict(config.to_dict()))
    assert config.fingerprint() != Every.from_dict({**config.to_dict(), "weights": {"next": 2}}).fingerprint()


@pytest.mark.parametrize(
    ("given", "key", "rule", "suggestion"),
    [
        pytest.param({"betas": [0.9, 1.5]}, "betas[1] = 1.5", "must be ≥ 0 and ≤ 1", "", id="element"),
        pytest.param(
            {"betas": [0.9]},
            "betas = [0.9]",
            "must be a list of 2 values, each a number ≥ 0 and ≤ 1, not of 1",
            "",
            id="length",
        ),
        pytest.param({"betas": 0.9}, "betas = 0.9", "must be a list of 2 values", "", id="no list"),
        pytest.param({"layers": ["3", 4]}, "layers[0] = 3", "must be an integer", '"layers=[3,4]"', id="element as text"),
        pytest.param({"layers": 3}, "layers = 3", "must be a list, each an integer", '"layers=[3]"', id="one for a list"),
        pytest.param({"weights": {"a": -1}}, "weights.a = -1", "must be ≥ 0", "", id="value of a mapping"),
        pytest.param(
            {"weights": 3}, "weights = 3", "must be a mapping, each value a number ≥ 0, not an integer", "", id="no mapping"
        ),
        pytest.param({"devices": 9}, "devices = 9", "must be an integer ≥ 1 and ≤ 8, or one of auto, none", "", id="either"),
        pytest.param({"devices": "outo"}, "devices = outo", "must be an integer", "devices=auto", id="either, misspelt"),
        pytest.param({"devices": []}, "devices = []", ", not a list", "", id="neither"),
        pytest.param({"width": 65}, "width = 65", "must be one of 64, 128", "", id="choice of integers"),
        pytest.param({"width": "64"}, "width = 64", "must be one of 64, 128, not text", "width=64", id="choice as text"),
        pytest.param({"width": True}, "width = true", "must be one of 64, 128, not true or false", "", id="choice, bool"),
        pytest.param({"kind": "c"}, "kind = c", "must be one of a, b or null", "", id="optional choice"),
        pytest.param({"steps": 0}, "steps = 0", "must be ≥ 1", "", id="without at_most"),
        pytest.param({"lr-min": "x"}, "lr-min = x", "must be a number, not text", "", id="key"),
        pytest.param({"rate": 1}, "rate = 1", "unknown key", "", id="Python's name is no key"),
    ],
)
def test_every_kind_refuses_with_its_rule(given: dict[str, Any], key: str, rule: str, suggestion: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Every.from_dict({**GIVEN, **given})
    (violation,) = caught.value.violations
    assert (violation.head, violation.suggestion) == (key, suggestion)
    assert rule in violation.rule


def test_integers_and_choices_without_a_default_must_be_given() -> None:
    with pytest.raises(ConfigError) as caught:
        Every.from_dict({})
    assert [(each.key, each.rule) for each in caught.value.violations] == [
        ("steps", "must be given: steps"),
        ("mode", "must be given: mode"),
    ]


def test_a_wrong_declaration_is_refused_with_class_and_field() -> None:
    with pytest.raises(TypeError, match=r"choice\(\) takes words or numbers, not \(\)"):
        choice("a", "nothing to choose")
    with pytest.raises(TypeError, match=r"takes a field such as integer\(\) or number\(\), not 3"):
        items(3, "no rule")

    @dataclass(frozen=True)
    class Wrong(Checked):
        betas: tuple[float, ...] = items(number(at_most=1), "betas", default=(0.9, 2))

    with pytest.raises(TypeError, match=r"Wrong: the default betas\[1\] = 2 must be ≤ 1"):
        Wrong()


@pytest.mark.parametrize("name", ["Broken", "relation", "Relation"])
def test_an_old_name_works_and_names_the_new_one(name: str) -> None:
    with pytest.warns(DeprecationWarning, match=rf"gpt2hydra\.fields\.{name} is .*(Failure|validator)"):
        assert getattr(gpt2hydra.fields, name) is not None


def test_rules_of_the_older_kind_still_hold() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from gpt2hydra.fields import Broken, relation

        @dataclass(frozen=True)
        class Range(Checked):
            low: int = integer(1, "lower end", decides=False)  # type: ignore[call-arg]
            high: int = integer(10, "upper end")
            RELATIONS = (relation("low", "high")(lambda low, high: Broken("must be ≤ {high}") if low > high else None),)

    with pytest.raises(ConfigError, match=r"low = 11\n    must be ≤ high = 10"):
        Range(low=11)
    for wrong, near in (("hgih", "high"), ("lo", "low")):
        Wrong = type("Wrong", (Range,), {"RELATIONS": (relation("low", wrong)(lambda low, other: None),)})
        with pytest.raises(TypeError, match=f"reads {wrong}, which holds no value; did you mean {near}"):
            Wrong(low=2)
    assert Range(low=2).fingerprint() == Range(low=3).fingerprint()
    with pytest.warns(DeprecationWarning, match="decides= is now called affects_result="):
        text("a", "text", decides=False)  # type: ignore[call-arg]
