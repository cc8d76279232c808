"""Errors of Hydra, OmegaConf and YAML in the words of a report."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gpt2hydra.composition.hydra_errors import file_violation, grammar_rule, instantiating, resolving, unknown_error_violation
from gpt2hydra.composition.hydra_state import parse
from gpt2hydra.config.errors import ConfigError, Violation


@pytest.mark.parametrize(
    ("override", "reported"),
    [
        pytest.param("data.path=a&b", "contains the character &; put the value in quotes", id="sign"),
        pytest.param("data.path=(", "is not an override that Hydra can read", id="parenthesis"),
    ],
)
def test_overrides_that_hydras_grammar_cannot_read(override: str, reported: str) -> None:
    with pytest.raises(Exception) as caught:
        parse(override)
    assert grammar_rule(caught.value).startswith(reported)


def test_a_number_of_too_many_digits() -> None:
    assert grammar_rule(ValueError("Exceeds the limit (4300 digits) for integer string conversion")) == "has too many digits"


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        pytest.param("a: [\n", "is not YAML: ", id="bracket"),
        pytest.param("a:\n\tb: 1\n", "has a tab in its indentation; YAML takes spaces only", id="tab"),
    ],
)
def test_a_file_that_is_not_yaml_is_reported_with_its_line(
    content: str, reported: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(content)
    with pytest.raises(Exception) as caught:
        OmegaConf.load("x.yaml")
    violation = file_violation(caught.value)
    assert violation.key == "x.yaml:2" and violation.rule.startswith(reported)


def test_a_reference_that_leads_nowhere_is_a_violation_of_its_key() -> None:
    with pytest.raises(ConfigError) as caught, resolving("hydra.run.dir", "${nope}"):
        raise KeyError("Interpolation key 'nope' not found\nand more")
    (violation,) = caught.value.violations
    assert (violation.key, violation.value) == ("hydra.run.dir", "${nope}")
    assert violation.rule.startswith("cannot be resolved: ") and "\n" not in violation.rule


def test_what_cannot_be_made_is_reported_by_its_cause_and_a_refusal_stays_one() -> None:
    with pytest.raises(ConfigError) as caught, instantiating("hydra.callbacks", "cannot be made"):
        raise RuntimeError("outer") from ImportError("no module named nosuch")
    assert caught.value.violations == (Violation("hydra.callbacks", rule="cannot be made: no module named nosuch"),)
    refusal = ConfigError([Violation("model.n_head", 7, "must divide")])
    with pytest.raises(ConfigError) as kept, instantiating("hydra.callbacks", "cannot be made"):
        raise refusal
    assert kept.value is refusal


def test_an_error_without_better_words_keeps_its_own() -> None:
    assert unknown_error_violation(RuntimeError("one\n\n two\nthree\nfour")).rule == "one; two; three"
    assert unknown_error_violation(RuntimeError()).rule == "RuntimeError"
