"""The model that is trained: transformers' GPT-2 with its loss, with new weights or those of a folder."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from transformers import GPT2LMHeadModel

from gpt2hydra.checkpoint import model_files
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.run import TrainingConfig


def build_model(
    config: GPT2Config, settings: TrainingConfig, end_of_text: int | None = None, start_from: Path | None = None
) -> GPT2LMHeadModel:
    """Build a GPT-2 with weights from N(0, 0.02), those of residual projections divided by sqrt(2 n_layer).

    Args:
        start_from: a Hugging Face folder of the same shape, whose weights are used instead.

    Raises:
        ConfigError: the weights in ``start_from`` are damaged.
    """
    model = GPT2LMHeadModel(model_files.runtime_config(config, end_of_text, settings.attention))
    if start_from is not None:
        model.load_state_dict(model_files.read_weights(start_from), strict=False)  # the output layer is the token embedding
    if settings.gradient_checkpointing:  # transformers renamed it in the middle of its fifth major version
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    if settings.precision == "bf16_pure":
        torch.nn.Module.to(model, torch.bfloat16)
    return model


def uses_torch_compile(config: TrainingConfig, device: torch.device) -> bool:
    """Whether the model is compiled with ``torch.compile``."""
    return config.compile == "true" or (config.compile == "auto" and device.type == "cuda")


class GPT2WithLoss(torch.nn.Module):
    """A GPT-2 and its loss as one module, so that precision, FSDP and ``torch.compile`` apply to both."""

    def __init__(self, gpt2: GPT2LMHeadModel) -> None:
        super().__init__()
        self.gpt2 = gpt2

    def forward(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean cross-entropy of ``targets`` (B, T) after ``inputs`` (B, T), in nats; in fp32."""
        logits = self.gpt2(input_ids=inputs, use_cache=False).logits  # (B, T, V)
        return cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
