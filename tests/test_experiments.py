"""The shipped experiments: each composes, says how it is run, and has its published values."""

from pathlib import Path

import pytest
import yaml

import gpt2hydra
from gpt2hydra import GPT2Config, sizing
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.data import corpus_checks

EXPERIMENTS = sorted((CONF_DIR / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_every_experiment_is_valid(file: Path) -> None:
    config = gpt2hydra.compose("train", [f"experiment={file.stem}"])
    assert config.training.seq_len == config.model.n_positions


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_every_experiment_opens_with_what_it_is_and_its_command(file: Path) -> None:
    package, *lines = file.read_text().splitlines()
    comments = lines[: next(number for number, line in enumerate(lines) if not line.startswith("#"))]
    assert package == "# @package _global_"
    assert any(line.startswith(f"#   python train.py experiment={file.stem}") for line in comments)
    assert len(lines) < 40


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_overrides_win_over_an_experiment(file: Path) -> None:
    config = gpt2hydra.compose("train", [f"experiment={file.stem}", "training.max_steps=5000", "model.n_layer=3"])
    assert (config.training.max_steps, config.model.n_layer) == (5000, 3)


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_an_experiment_states_nothing_twice(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    assert set(content) <= {"defaults", "model", "data", "tokenizer", "training"}
    assert "seq_len" not in content["training"]


def test_the_quickstart_needs_no_download() -> None:
    config = gpt2hydra.compose("train", ["experiment=quickstart"])
    assert (config.data.path, config.tokenizer.name) == (None, "bytes")
    assert corpus_checks.check_corpus(config) == []


def test_gpt2_124m_is_the_published_recipe() -> None:
    config = gpt2hydra.compose("train", ["experiment=gpt2_124m"])
    training = config.training
    assert sizing.parameters(config.model).total == sizing.parameters(GPT2Config.gpt2_small()).total
    assert (training.tokens_per_step, training.tokens_per_step * training.max_steps) == (491_520, 294_912_000_000)
    assert (training.learning_rate, training.min_learning_rate_ratio, training.warmup_steps) == (6e-4, 0.1, 2000)
    assert config.tokenizer.name == "gpt2"


def test_shakespeare_char_is_nanogpts_shape() -> None:
    config = gpt2hydra.compose("train", ["experiment=shakespeare_char"])
    assert sizing.parameters(config.model).non_embedding == 6 * (12 * 384**2 + 13 * 384) + 2 * 384
    assert config.model.attn_pdrop == config.model.resid_pdrop == config.model.embd_pdrop == 0.2
