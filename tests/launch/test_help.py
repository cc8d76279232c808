"""What --help tells: a screen of it, or all."""

import pytest

from gpt2hydra import TrainConfig
from tests.command_line import CommandLine


@pytest.mark.parametrize("name", ["train", "generate"])
def test_help_without_topics_fits_a_screen(run: CommandLine, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outcome = run("--help", config_name=name)
    assert (outcome.code, outcome.err) == (0, "")
    assert sum(-(-len(line) // 80) or 1 for line in outcome.out.splitlines()) <= 24


def test_help_lists_the_groups_and_the_usual_keys(run: CommandLine) -> None:
    shown = run("--help", "model=large").out
    assert "model: large, medium, small, xl\n" in shown
    assert "  model.n_layer=36              transformer blocks\n" in shown
    assert "--help all: every key; --help training: its keys;" in shown
    assert [key for key in TrainConfig.HELP_SUMMARY if f"  {key}=" not in shown] == []


def test_help_of_a_section_and_of_a_key(run: CommandLine) -> None:
    shown = run("--help", "tokenizer", "model.n_head", "model=large").out.splitlines()
    assert [line.split(" ")[2] for line in shown if line.startswith("  ") and line[2] != " "] == [
        "tokenizer.name=bytes",
        "tokenizer.path=null",
        "model.n_head=20",
    ]


def test_help_of_an_unknown_topic(run: CommandLine) -> None:
    outcome = run("--help", "tokenzier")
    assert (outcome.code, outcome.out) == (1, "")
    assert "  --help tokenzier\n    is no section or key; did you mean tokenizer?\n" in outcome.err
