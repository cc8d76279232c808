"""Weights and optimizer of a model in training, out of it and back, bit for bit."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from transformers import GPT2LMHeadModel

from gpt2hydra import TrainConfig
from gpt2hydra.checkpoint import model_files, run_checkpoints, state
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.data.tokenizer import bytes_tokenizer
from gpt2hydra.training.model import GPT2WithLoss
from gpt2hydra.training.optimizer import adamw
from tests.models import TINY, tiny_model

SETTINGS = TrainingConfig(seq_len=16, learning_rate=0.01)


def trained(steps: int) -> tuple[GPT2LMHeadModel, torch.optim.Optimizer]:
    model = tiny_model()
    optimizer = adamw(model, SETTINGS)
    train(model, optimizer, range(steps))
    return model, optimizer


def train(model: GPT2LMHeadModel, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        tokens = torch.randint(0, 257, (2, 17), generator=torch.Generator().manual_seed(step))
        torch.autograd.backward(GPT2WithLoss(model)(tokens[:, :-1], tokens[:, 1:]))
        optimizer.step()
        optimizer.zero_grad()


def save(folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Path:
    config = TrainConfig(model=TINY, training=SETTINGS)
    tensors, moments = state.gather_weights(model), state.gather_optimizer(model, optimizer)
    model_files.save(folder, tensors, bytes_tokenizer(), config, 3, optimizer=moments, loop_state={"losses": [0.1, 1 / 3]})
    return folder


def test_training_continues_as_if_nothing_had_happened(tmp_path: Path) -> None:
    model, optimizer = trained(3)
    folder = save(tmp_path / "step", model, optimizer)
    another = tiny_model()
    its_optimizer = adamw(another, SETTINGS)
    loaded = model_files.read_training_state(folder)
    assert loaded["loop"] == {"losses": [0.1, 1 / 3]}
    state.restore(another, its_optimizer, loaded["model"], loaded["optimizer"])
    train(model, optimizer, range(3, 6))
    train(another, its_optimizer, range(3, 6))
    for one, other in zip(model.parameters(), another.parameters(), strict=True):
        assert torch.equal(one, other)


def test_every_tensor_bears_its_parameters_name() -> None:
    model, optimizer = trained(1)
    names = set(state.gather_weights(model))
    assert "lm_head.weight" not in names
    assert set(state.gather_optimizer(model, optimizer)) == {
        f"{what}/{name}" for name in names for what in ("step", "exp_avg", "exp_avg_sq")
    }
    assert (state.gather_weights(model, keep=False), state.gather_optimizer(model, optimizer, keep=False)) == ({}, {})


def test_inference_reads_the_folder_and_not_what_is_for_resuming(tmp_path: Path) -> None:
    model, optimizer = trained(1)
    folder = save(tmp_path / "step", model, optimizer)
    (folder / run_checkpoints.RESUME_DIR / model_files.OPTIMIZER_FILE).write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    loaded, _ = model_files.load_model(str(folder))
    assert torch.equal(loaded.transformer.wte.weight, dict(model.named_parameters())["transformer.wte.weight"])


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    model, optimizer = trained(1)
    folder = save(tmp_path / "step", model, optimizer)
    file = folder / run_checkpoints.RESUME_DIR / model_files.OPTIMIZER_FILE
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ConfigError, match=r"optimizer\.safetensors is damaged"):
        model_files.read_training_state(folder)


def test_the_state_of_another_model_is_refused(tmp_path: Path) -> None:
    model, optimizer = trained(1)
    loaded = model_files.read_training_state(save(tmp_path / "step", model, optimizer))
    with pytest.raises(ConfigError, match="lacks more"):
        state.restore(torch.nn.ModuleDict({"more": torch.nn.Linear(1, 1)}), optimizer, loaded["model"], loaded["optimizer"])


def test_before_its_first_step_an_optimizer_has_no_state(tmp_path: Path) -> None:
    model, optimizer = trained(0)
    loaded = model_files.read_training_state(save(tmp_path / "step", model, optimizer))
    assert loaded["optimizer"] == {}
    state.restore(model, optimizer, loaded["model"], loaded["optimizer"])
