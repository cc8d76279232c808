"""Models of a few thousand parameters, of any shape. Needs torch."""

import random
from typing import Any

import torch
from transformers import GPT2LMHeadModel

from gpt2hydra import GPT2Config
from gpt2hydra.checkpoint import model_files
from gpt2hydra.training.model import GPT2WithLoss


def shape(seed: int, **dropout: Any) -> GPT2Config:
    draw = random.Random(seed)
    heads = draw.choice([1, 2, 3, 4])
    return GPT2Config(
        vocab_size=draw.randint(11, 200),
        n_positions=draw.randint(8, 64),
        n_embd=heads * draw.choice([4, 8, 16]),
        n_layer=draw.randint(1, 3),
        n_head=heads,
        **dropout,
    )


def build(
    config: GPT2Config, attention: str = "eager", activation: str = "gelu_pytorch_tanh", checkpointing: bool = False
) -> Any:
    """A model in training mode."""
    settings = model_files.runtime_config(config, attention="eager" if attention == "eager" else "sdpa")
    settings.activation_function = activation
    torch.manual_seed(0)
    model: Any = GPT2LMHeadModel(settings)
    if checkpointing:  # transformers renamed it
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    return model.train()


def loss_of(model: Any, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The training's loss of ``targets`` (B, T) after ``inputs`` (B, T)."""
    loss: torch.Tensor = GPT2WithLoss(model)(inputs, targets)
    return loss
