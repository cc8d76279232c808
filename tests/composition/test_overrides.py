"""Text on the command line means what was typed. What YAML misreads in files: ``test_refusal.py``."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

import gpt2hydra
from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_state import parse
from gpt2hydra.composition.overrides import OverrideTexts, argument_violation
from gpt2hydra.config.run import GenerateConfig
from gpt2hydra.utils.quoting import quote_for_hydra


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("prompt=To be, or not to be: that's it", "To be, or not to be: that's it"),
        ("prompt=${x} = \\${y}", "${x} = \\${y}"),
        ("prompt='quoted, by hand'", "quoted, by hand"),
        ("prompt='x' y", "'x' y"),
        ("prompt='tis", "'tis"),
        ("prompt=", ""),
        ("checkpoint=runs/ä b", "runs/ä b"),
        ("checkpoint=~/runs", "~/runs"),
        ("checkpoint=007", "007"),
        ("checkpoint=1e3", "1e3"),
        ("checkpoint=true", "true"),
    ],
)
def test_text_means_what_was_typed(override: str, value: str) -> None:
    key = override.partition("=")[0]
    config = gpt2hydra.compose("generate", ["checkpoint=x", override])
    assert getattr(config, key) == value


@pytest.fixture(scope="module")
def options_of_odd_names(tmp_path_factory: pytest.TempPathFactory) -> Composer:
    folder = tmp_path_factory.mktemp("conf")
    (folder / "db").mkdir()
    (folder / "app.yaml").write_text("defaults: [db: plain]\n")
    for name in ("plain", "7", "true", "null", "1e3", "é", "a,b", "it's"):
        (folder / "db" / f"{name}.yaml").write_text(json.dumps({"name": name}), encoding="utf-8")
    return Composer("app", folder, once=True)


@pytest.mark.parametrize(
    ("typed", "rule", "option"),
    [
        pytest.param("7", "is a number for Hydra; quote the name of an option", "7", id="integer"),
        pytest.param("1e3", "is a number for Hydra", "1e3", id="number"),
        pytest.param("true", "is true or false for Hydra", "true", id="flag"),
        pytest.param("its", "must be one of", "it's", id="a quote is meant"),
    ],
)
def test_an_option_with_a_name_that_is_no_text_is_chosen_in_quotes(
    options_of_odd_names: Composer, typed: str, rule: str, option: str
) -> None:
    (found,) = options_of_odd_names.fold([f"db={typed}"]).violations
    assert rule in found.rule
    (word,) = found.remedy_words
    chosen = options_of_odd_names.fold([word])
    assert not chosen.violations
    assert [chain[-1].value for chain in chosen.folded.settings.values()] == [option]


def test_sweeps_keep_hydras_grammar() -> None:
    assert OverrideTexts.from_command_line(["prompt=a,b"], GenerateConfig, sweep=True).texts == ["prompt=a,b"]


@given(st.text(max_size=30))
def test_quoted_text_is_read_back_unchanged(value: str) -> None:
    try:
        override = parse(f"prompt={quote_for_hydra(value)}")
    except Exception:
        assert not value.isprintable()  # the grammar has no word for some control characters
        return
    assert OmegaConf.create({"prompt": override.value()}).prompt == value


def test_an_argument_that_is_no_override() -> None:
    reported = argument_violation("large")
    assert (reported.key, reported.rule) == ("large", "is not an override, which is KEY=VALUE, or ~KEY to delete")
    assert argument_violation("--model").rule.endswith("; options of Hydra are arguments of their own, see --hydra-help")
