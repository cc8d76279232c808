"""Values and names in the words of a report."""

import pytest

from gpt2hydra.utils.formatting import closest, counted, did_you_mean, kind_of, show, show_number


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
    assert show(value) == shown


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
def test_what_people_write_for_a_name(word: str, known: list[str], meant: str | None) -> None:
    assert closest(word, known) == meant


def test_the_hint_stands_behind_the_rule() -> None:
    assert did_you_mean("n_hed", ["n_head"], "model.") == "; did you mean model.n_head?"
    assert did_you_mean("zebra", ["n_head"]) == ""


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        ("1", "text"),
        (True, "true or false"),
        (1, "an integer"),
        (1.0, "a number with a decimal point"),
        ([], "a list"),
    ],
)
def test_the_type_of_a_value_in_a_users_words(value: object, kind: str) -> None:
    assert kind_of(value) == kind


@pytest.mark.parametrize(("value", "shown"), [(10_000, "10,000"), (0.5, "0.5"), (1e6, "1e+06"), (2.0, "2")])
def test_a_limit_is_shown_without_a_needless_fraction(value: float, shown: str) -> None:
    assert show_number(value) == shown


def test_a_number_of_things_is_singular_or_plural() -> None:
    assert (counted(0, "point"), counted(1, "point"), counted(1200, "point")) == ("0 points", "1 point", "1,200 points")
