"""Text on the command line means what was typed. What YAML misreads in files: ``test_refusal.py``."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

import gpt2hydra
from gpt2hydra.composition.hydra_state import parse
from gpt2hydra.composition.overrides import as_typed, no_override
from gpt2hydra.config.run import GenerateConfig
from gpt2hydra.utils.quoting import quoted


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


def test_sweeps_keep_hydras_grammar() -> None:
    assert as_typed(["prompt=a,b"], GenerateConfig, sweep=True) == ["prompt=a,b"]


@given(st.text(max_size=30))
def test_quoting_stands_for_itself(value: str) -> None:
    try:
        override = parse(f"prompt={quoted(value)}")
    except Exception:
        assert not value.isprintable()  # the grammar has no word for some control characters
        return
    assert OmegaConf.create({"prompt": override.value()}).prompt == value


def test_an_argument_that_is_no_override() -> None:
    reported = no_override("large")
    assert (reported.key, reported.rule) == ("large", "is not an override, which is KEY=VALUE, or ~KEY to delete")
    assert no_override("--model").rule.endswith("; options of Hydra stand by themselves, see --hydra-help")
