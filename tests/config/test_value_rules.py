"""Rules, and the words of a report."""

import pytest

from gpt2hydra.config.errors import ABSENT
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.config.value_rules import Scalar


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        pytest.param(Scalar(int, at_least=1, at_most=10_000), "an integer ≥ 1 and ≤ 10,000", id="integer"),
        pytest.param(Scalar(float, above=0), "a number > 0", id="number"),
        pytest.param(Scalar(float, at_least=0, at_most=1, optional=True), "a number ≥ 0 and ≤ 1 or null", id="optional"),
        pytest.param(Scalar(bool), "true or false", id="flag"),
        pytest.param(Scalar(str, choices=("a", "b")), "one of a, b", id="choice"),
    ],
)
def test_a_rule_says_itself_in_words(rule: Scalar, words: str) -> None:
    assert str(rule) == words


@pytest.mark.parametrize(
    ("rule", "value", "problem"),
    [
        pytest.param(Scalar(int, at_least=1), 0, "must be ≥ 1", id="too small"),
        pytest.param(Scalar(int, at_least=1), True, "must be an integer ≥ 1, not true or false", id="bool for int"),
        pytest.param(Scalar(int), "3", "must be an integer, not text", id="text for int"),
        pytest.param(Scalar(int), None, "must be an integer, not null", id="null for int"),
        pytest.param(Scalar(float), float("nan"), "must be finite: a number", id="nan"),
        pytest.param(Scalar(float, above=0), 10**400, "must be finite: a number > 0", id="int beyond float"),
        pytest.param(Scalar(bool), 1, "must be true or false, not an integer", id="int for bool"),
        pytest.param(Scalar(str, choices=("a", "b")), "c", "must be one of a, b", id="no choice"),
        pytest.param(Scalar(float, at_least=0), 0, None, id="int for float"),
        pytest.param(Scalar(str, optional=True), None, None, id="optional null"),
    ],
)
def test_a_rule_says_how_it_is_broken(rule: Scalar, value: object, problem: str | None) -> None:
    assert rule.first_problem(value) == problem


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *(pytest.param(each, True, id=each) for each in ("t", "y", "Yes", "ON", "1", "ture", "onn", "enabled")),
        *(pytest.param(each, False, id=each) for each in ("f", "n", "No", "off", "0", "flase", "disabled")),
        *(pytest.param(each, ABSENT, id=each) for each in ("nope", "maybe", "2", "x", "")),
    ],
)
def test_a_flag_is_never_turned_into_its_opposite(written: str, meant: object) -> None:
    assert Scalar(bool).remedy(written) is meant


@pytest.mark.parametrize(
    ("written", "meant"), [("float16", "bf16"), ("fp16", "bf16"), ("bf16-true", "bf16_pure"), ("32", "fp32")]
)
def test_a_precision_is_known_by_its_other_names(written: str, meant: str) -> None:
    assert TrainingConfig.__dataclass_fields__["precision"].metadata["rule"].remedy(written) == meant
