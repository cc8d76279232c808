"""AdamW for a GPT-2: which parameters decay, and how its learning rate is set."""

from __future__ import annotations

from typing import Any

import torch

from gpt2hydra.config.run import TrainingConfig


def adamw(model: torch.nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """Return a fused AdamW over the parameters of ``model`` that are trained."""
    groups = parameter_groups(model, config.weight_decay)
    betas = (config.adam_beta1, config.adam_beta2)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, eps=config.adam_epsilon, fused=True)


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return AdamW's groups: matrices and embeddings decay, biases and layer norms do not."""
    trained = [each for each in model.parameters() if each.requires_grad]
    return [
        {"params": [each for each in trained if each.ndim >= 2], "weight_decay": weight_decay},
        {"params": [each for each in trained if each.ndim < 2], "weight_decay": 0.0},
    ]


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate
