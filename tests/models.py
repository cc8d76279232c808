"""Tiny untrained models, saved as checkpoints. Needs torch."""

from pathlib import Path
from typing import Any

import torch
from transformers import GPT2LMHeadModel

from gpt2hydra import GPT2Config, TrainConfig
from gpt2hydra.checkpoint import model_files
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.data.tokenizer import bytes_tokenizer
from gpt2hydra.training.model import build_model

torch.set_num_threads(1)  # what is computed here is too small to share, and tests run at once

TINY = GPT2Config(vocab_size=257, n_positions=16, n_embd=32, n_layer=2, n_head=2, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)


def tiny_model(**settings: Any) -> GPT2LMHeadModel:
    """The same weights each time, large enough for the likeliest token to depend on those before it."""
    torch.manual_seed(0)
    model = build_model(TINY, TrainingConfig(seq_len=16, **settings), end_of_text=256)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)
    model.train(False)
    return model


def save_tiny(folder: Path) -> Path:
    """A checkpoint of :func:`tiny_model`."""
    config = TrainConfig(model=TINY, training=TrainingConfig(seq_len=16))
    model_files.save(folder, tiny_model().state_dict(), bytes_tokenizer(), config, 0)
    return folder
