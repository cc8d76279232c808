"""Fine-tuning: shape and tokenizer come from the folder."""

from dataclasses import replace
from pathlib import Path

import pytest

import gpt2hydra
from gpt2hydra import GPT2Config, TrainConfig
from gpt2hydra.checkpoint import init_from
from gpt2hydra.config.run import TokenizerConfig, TrainingConfig
from tests.checkpoints import TINY, write_bpe, write_checkpoint
from tests.command_line import CommandLine

SHAPE = [
    "model.vocab_size=257",
    "model.n_positions=16",
    "model.n_embd=8",
    "model.n_layer=2",
    "model.n_head=2",
    "model.resid_pdrop=0.1",
    "model.embd_pdrop=0.1",
    "model.attn_pdrop=0.1",
    "model.layer_norm_epsilon=1e-05",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny").mkdir()
    return write_checkpoint(tmp_path / "tiny")


def test_init_from_sets_shape_and_tokenizer(folder: Path) -> None:
    assert [*init_from.implied_overrides([f"init_from={folder}"])] == [*SHAPE, "tokenizer=bytes"]
    config = gpt2hydra.compose("train", [*init_from.implied_overrides([f"init_from={folder}"]), f"init_from={folder}"])
    assert config == TrainConfig(
        model=TINY, training=TrainingConfig(seq_len=16), init_from=str(folder), hardware=config.hardware
    )


def test_a_tokenizer_with_merges_is_read_from_the_folder(folder: Path) -> None:
    write_bpe(folder, "t h")
    assert [*init_from.implied_overrides([f"init_from={folder}"])][-2:] == ["tokenizer=gpt2", f"tokenizer.path={folder}"]


@pytest.mark.parametrize(
    ("typed", "left_out"),
    [
        pytest.param("model.n_layer=6", ["model.n_layer=2"], id="a key"),
        pytest.param("model=large", SHAPE, id="a size"),
        pytest.param("tokenizer=bytes", ["tokenizer=bytes"], id="a tokenizer"),
        pytest.param("tokenizer.path=x", ["tokenizer=bytes"], id="its files"),
    ],
)
def test_typed_values_are_not_implied(typed: str, left_out: list[str], folder: Path) -> None:
    expected = [each for each in [*SHAPE, "tokenizer=bytes"] if each not in left_out]
    assert [*init_from.implied_overrides([typed, f"init_from={folder}"])] == expected


def test_the_dropout_of_an_experiment_is_kept_but_not_its_shape(folder: Path) -> None:
    implied = init_from.implied_overrides([f"init_from={folder}"], {"model.resid_pdrop", "model.n_layer", "training.seed"})
    assert [*implied] == [each for each in [*SHAPE, "tokenizer=bytes"] if not each.startswith("model.resid_pdrop=")]


@pytest.mark.parametrize(
    "overrides",
    [[], ["model=large"], ["init_from=null"], ["init_from=a,b"], ["init_from=/nowhere"], ["init_from=x", "data.path=[a"]],
)
def test_otherwise_nothing_changes(overrides: list[str]) -> None:
    assert init_from.implied_overrides(overrides) == {}


# ----------------------------------------------------------------------------------------------------- what can be wrong


def configured(folder: Path | str, model: GPT2Config = TINY) -> TrainConfig:
    return TrainConfig(model=model, training=TrainingConfig(seq_len=16), init_from=str(folder))


def test_a_folder_that_fits_has_no_problem(folder: Path) -> None:
    assert init_from.check_init_from(configured(folder)) == []
    assert init_from.check_init_from(configured(folder, replace(TINY, resid_pdrop=0.5))) == []  # weights have no dropout
    assert init_from.check_init_from(TrainConfig()) == []


def test_another_shape_is_refused_with_both_values(folder: Path) -> None:
    found = init_from.check_init_from(configured(folder, replace(TINY, n_layer=3, n_head=4)))
    assert [(each.head, each.rule, each.suggestion) for each in found] == [
        ("model.n_layer = 3", f"must be 2, as in init_from = {folder}", "model.n_layer=2"),
        ("model.n_head = 4", f"must be 2, as in init_from = {folder}", "model.n_head=2"),
    ]


def test_a_folder_that_cannot_be_used_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    ((key, rule),) = [(each.key, each.rule) for each in init_from.check_init_from(configured(folder))]
    assert (key, rule) == ("init_from", "must hold model.safetensors; there are no weights")
    assert [each.rule for each in init_from.check_init_from(configured("/nowhere"))] == ["there is no such folder"]


def test_the_source_of_the_weights_is_printed(folder: Path) -> None:
    assert init_from.format_note(configured(folder)) == f"note: weights, shape and tokenizer are those of {folder}"
    other = replace(configured(folder, replace(TINY, vocab_size=50257)), tokenizer=TokenizerConfig("gpt2", "elsewhere"))
    assert init_from.format_note(other) == f"note: weights and shape are those of {folder}; the tokenizer is not"


def test_the_command_line_takes_init_from(run: CommandLine, folder: Path) -> None:
    outcome = run(f"init_from={folder}")
    assert (outcome.code, [config.model for config in outcome.configs]) == (0, [TINY])
    assert f"note: weights, shape and tokenizer are those of {folder}\n" in outcome.err
    outcome = run(f"init_from={folder}", "model.n_layer=3")
    assert (outcome.code, outcome.configs) == (1, [])
    assert (
        f"  model.n_layer = 3\n    must be 2, as in init_from = {folder}\n"
        "    set by the command line: model.n_layer=3" in outcome.err
    )
