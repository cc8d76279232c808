"""AdamW, and how its learning rate rises and falls."""

from __future__ import annotations

import math
from typing import Any

import torch

from gpt2hydra.config.run import TrainingConfig


def adamw(model: torch.nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW as one kernel, over the parameters of ``model`` that are trained."""
    groups = parameter_groups(model, config.weight_decay)
    betas = (config.adam_beta1, config.adam_beta2)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, eps=config.adam_epsilon, fused=True)


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices, embeddings included, decay; biases and layer norms do not."""
    trained = [each for each in model.parameters() if each.requires_grad]
    return [
        {"params": [each for each in trained if each.ndim >= 2], "weight_decay": weight_decay},
        {"params": [each for each in trained if each.ndim < 2], "weight_decay": 0.0},
    ]


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use this rate in the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def learning_rate(config: TrainingConfig, step: int) -> float:
    """The learning rate of a step, counted from 0: a linear rise to the peak, then the schedule.

    The rise begins above 0, so that no step is wasted; the minimum is reached at the last step, if the warm-up leaves any.
    """
    peak, least = config.learning_rate, config.min_learning_rate_ratio * config.learning_rate
    if step < config.warmup_steps:
        return peak * (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return peak
    done = min(1.0, (step - config.warmup_steps) / max(1, config.max_steps - 1 - config.warmup_steps))
    left = 1 - done if config.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return least + left * (peak - least)
