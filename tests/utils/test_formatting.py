"""Values and names in the words of a report."""

import pytest

from gpt2hydra.utils.formatting import (
    abbreviate_number,
    closest,
    describe_type,
    did_you_mean,
    format_duration,
    format_number,
    format_value,
    pluralize,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        pytest.param(10**5000, "an integer of about 5,001 digits", id="5000 digits"),
        ("", "''"),
        ("a\nb", r"'a\nb'"),
        (1e-5, "1e-05"),
        ("x" * 200, "x" * 60 + "... (200 characters)"),
    ],
)
def test_values_are_shown_on_one_short_line(value: object, shown: str) -> None:
    assert format_value(value) == shown


def test_the_closest_word_is_found_whatever_its_case() -> None:
    assert closest("N_HED", ["n_head", "n_embd"]) == "n_head"
    assert closest("gpt2-xl", ["small", "xl"]) == "xl"
    assert closest("zebra", ["n_head", "n_embd"]) is None


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        pytest.param("h100", ["h100_80gb", "l4"], "h100_80gb", id="its beginning"),
        pytest.param("lr", ["learning_rate", "max_steps"], "learning_rate", id="its initials"),
        pytest.param("gpt2_large", ["large", "xl"], "large", id="its end"),
        pytest.param("l", ["large", "medium"], None, id="a letter is too little"),
        pytest.param("", ["large"], None, id="nothing"),
    ],
)
def test_common_misspellings_of_names(word: str, known: list[str], meant: str | None) -> None:
    assert closest(word, known) == meant


def test_the_hint_follows_the_rule() -> None:
    assert did_you_mean("n_hed", ["n_head"], "model.") == "; did you mean model.n_head?"
    assert did_you_mean("zebra", ["n_head"]) == ""


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        ("1", "text"),
        (True, "true or false"),
        (1, "an integer"),
        (1.0, "a float"),
        ([], "a list"),
    ],
)
def test_the_type_of_a_value_in_a_users_words(value: object, kind: str) -> None:
    assert describe_type(value) == kind


@pytest.mark.parametrize(("value", "shown"), [(10_000, "10,000"), (0.5, "0.5"), (1e6, "1e+06"), (2.0, "2")])
def test_a_limit_is_shown_without_a_needless_fraction(value: float, shown: str) -> None:
    assert format_number(value) == shown


def test_a_number_of_things_is_singular_or_plural() -> None:
    assert (pluralize(0, "point"), pluralize(1, "point"), pluralize(1200, "point")) == ("0 points", "1 point", "1,200 points")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.6, "1 min 00 s"),
        (75, "1 min 15 s"),
        (3599.6, "1 h 00 min"),
        (90_000, "25 h 00 min"),
        (1e6, "11 days 13 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (257, "257"),
        (9_880, "9.88k"),
        (806_656, "807k"),
        (999_600, "1M"),
        (124_439_808, "124M"),
        (1_557_611_200, "1.56B"),
    ],
)
def test_a_large_number_is_shown_in_three_digits(number: int, text: str) -> None:
    assert abbreviate_number(number) == text
