"""What a checkpoint holds, written and read."""

import os
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from transformers.utils import logging

from gpt2hydra import TrainConfig
from gpt2hydra.checkpoint import model_files, run_checkpoints, weights
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.data.tokenizer import bytes_tokenizer
from tests.models import TINY, tiny_model


def save(folder: Path) -> torch.nn.Module:
    model, config = tiny_model(), TrainConfig(model=TINY, training=TrainingConfig(seq_len=16))
    model_files.save(folder, model.state_dict(), bytes_tokenizer(), config, 3)
    return model


def test_a_model_comes_back_as_it_was_and_ready_to_generate(tmp_path: Path) -> None:
    model = save(tmp_path / "step")
    loaded, tokenizer = model_files.load_model(str(tmp_path / "step"))
    assert (loaded.training, loaded.dtype, tokenizer.size) == (False, torch.float32, bytes_tokenizer().size)
    for name, parameter in model.named_parameters():
        assert torch.equal(dict(loaded.named_parameters())[name], parameter)
    assert logging.is_progress_bar_enabled()


def test_the_output_layer_is_saved_only_as_the_token_embedding(tmp_path: Path) -> None:
    save(tmp_path / "step")
    assert set(model_files.read_weights(tmp_path / "step")) == {f"transformer.{name}" for name in weights.tensor_shapes(TINY)}


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_whoever_may_read_the_folder_may_read_the_weights(tmp_path: Path) -> None:
    save(tmp_path / "step")
    assert (tmp_path / "step" / weights.MODEL_FILE).stat().st_mode & 0o777 == (tmp_path / "step").stat().st_mode & 0o666


def test_without_an_optimizer_there_is_nothing_to_continue_from(tmp_path: Path) -> None:
    save(tmp_path / "step")
    assert not (tmp_path / "step" / run_checkpoints.RESUME_DIR).exists()


def test_damaged_weights_are_called_what_the_user_calls_them(tmp_path: Path) -> None:
    save(tmp_path / "step")
    file = tmp_path / "step" / weights.MODEL_FILE
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ConfigError, match=r"checkpoint = mine\n    model\.safetensors is damaged"):
        model_files.read_weights(tmp_path / "step", "mine")
