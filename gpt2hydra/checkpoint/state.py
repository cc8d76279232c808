"""Weights and AdamW's tensors of a model in training, out of it and back into it, however many processes share it.

Imports torch. Every tensor is whole and bears its parameter's name, so what one process saved goes on in many, and the other
way round.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.distributed.tensor import DTensor, distribute_tensor

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.checkpoint import tensors as weights
from gpt2hydra.checkpoint.folder import OPTIMIZER, STATE
from gpt2hydra.config.errors import ConfigError, Violation

Tensors = dict[str, torch.Tensor]


def weights_of(model: torch.nn.Module, keep: bool = True) -> Tensors:
    """Every parameter, whole, on the CPU. All of several processes must ask; those that ``keep`` them get them."""
    whole = ((name, _whole(parameter)) for name, parameter in model.named_parameters())
    return {name: each.detach().cpu() for name, each in whole if keep}


def optimizer_of(model: torch.nn.Module, optimizer: torch.optim.Optimizer, keep: bool = True) -> Tensors:
    """The optimizer's tensors, whole, on the CPU: ``exp_avg/transformer.h.0.attn.c_attn.weight``, and so on."""
    parameters = dict(model.named_parameters())
    assert all(parameter in optimizer.state for parameter in parameters.values()), "every parameter was trained"
    whole = (
        (f"{what}/{name}", _whole(each))
        for name, parameter in parameters.items()
        for what, each in optimizer.state[parameter].items()
    )
    return {name: each.detach().cpu() for name, each in whole if keep}


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def restore(folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> tuple[list[float], float | None]:
    """Put the weights and the optimizer's tensors of a checkpoint in place.

    Returns:
        The training losses of the steps that no row of ``loss.csv`` has told yet, and the last step's gradient norm.

    Raises:
        ConfigError: the checkpoint is none of this model, or damaged.
    """
    saved, of_optimizer = _load(folder / weights.FILE), _load(folder / run_checkpoints.RESUME / OPTIMIZER)
    parameters = dict(model.named_parameters())
    needed = {name: parameter for name, parameter in parameters.items() if name not in saved}
    if needed:
        raise ConfigError([Violation("resume", str(folder), f"lacks {next(iter(needed))}")])
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(_like(parameter, saved[name]))
    for key, tensor in of_optimizer.items():
        what, _, name = key.partition("/")
        optimizer.state[parameters[name]][what] = _like(parameters[name], tensor)
    told = json.loads((folder / run_checkpoints.RESUME / STATE).read_text(encoding="utf-8"))
    return told["losses"], told["gradient_norm"]


def _like(parameter: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """``tensor`` where and how ``parameter`` lies; the count of steps, a scalar, is whole everywhere."""
    tensor = tensor.to(parameter.device)
    if isinstance(parameter, DTensor) and tensor.ndim:
        return distribute_tensor(tensor, parameter.device_mesh, parameter.placements)
    return tensor


def _load(file: Path) -> Mapping[str, torch.Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise ConfigError([Violation("resume", str(file.parent), f"{file.name} is damaged: {error}")]) from None
