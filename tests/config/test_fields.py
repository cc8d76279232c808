"""Rules, and the words of a report."""

import pytest

from gpt2hydra.config.fields import Rule


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        pytest.param(Rule(int, at_least=1, at_most=10_000), "an integer ≥ 1 and ≤ 10,000", id="integer"),
        pytest.param(Rule(float, above=0), "a number > 0", id="number"),
        pytest.param(Rule(float, at_least=0, at_most=1, optional=True), "a number ≥ 0 and ≤ 1 or null", id="optional"),
        pytest.param(Rule(bool), "true or false", id="flag"),
        pytest.param(Rule(str, choices=("a", "b")), "one of a, b", id="choice"),
    ],
)
def test_a_rule_says_itself_in_words(rule: Rule, words: str) -> None:
    assert str(rule) == words


@pytest.mark.parametrize(
    ("rule", "value", "problem"),
    [
        pytest.param(Rule(int, at_least=1), 0, "must be ≥ 1", id="too small"),
        pytest.param(Rule(int, at_least=1), True, "must be an integer ≥ 1, not true or false", id="bool for int"),
        pytest.param(Rule(int), "3", "must be an integer, not text", id="text for int"),
        pytest.param(Rule(int), None, "must be an integer, not null", id="null for int"),
        pytest.param(Rule(float), float("nan"), "must be finite: a number", id="nan"),
        pytest.param(Rule(float, above=0), 10**400, "must be finite: a number > 0", id="int beyond float"),
        pytest.param(Rule(bool), 1, "must be true or false, not an integer", id="int for bool"),
        pytest.param(Rule(str, choices=("a", "b")), "c", "must be one of a, b", id="no choice"),
        pytest.param(Rule(float, at_least=0), 0, None, id="int for float"),
        pytest.param(Rule(str, optional=True), None, None, id="optional null"),
    ],
)
def test_a_rule_says_how_it_is_broken(rule: Rule, value: object, problem: str | None) -> None:
    assert rule.problem(value) == problem
