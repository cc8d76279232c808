"""Weights and AdamW's tensors of a model in training, out of it and back into it.

Imports torch. Every tensor is gathered and has its parameter's name, so what one process saved continues in
many, and the other way round.
"""

from __future__ import annotations

import torch
from torch.distributed.tensor import DTensor, distribute_tensor

from gpt2hydra.checkpoint.model_files import Tensors
from gpt2hydra.config.errors import ConfigError, Violation


def weights_of(model: torch.nn.Module, keep: bool = True) -> Tensors:
    """Every parameter, gathered, on the CPU, for those that ``keep`` them. Every process must call this."""
    gathered = ((name, _gathered(parameter)) for name, parameter in model.named_parameters())
    return {name: each.detach().cpu() for name, each in gathered if keep}


def optimizer_of(model: torch.nn.Module, optimizer: torch.optim.Optimizer, keep: bool = True) -> Tensors:
    """The optimizer's tensors, gathered, on the CPU: ``exp_avg/transformer.h.0.attn.c_attn.weight``, ...

    None before the optimizer's first step.
    """
    parameters = dict(model.named_parameters())
    assert not optimizer.state or all(each in optimizer.state for each in parameters.values()), "every parameter was trained"
    gathered = (
        (f"{what}/{name}", _gathered(each))
        for name, parameter in parameters.items()
        for what, each in optimizer.state.get(parameter, {}).items()
    )
    return {name: each.detach().cpu() for name, each in gathered if keep}


def _gathered(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def restore(model: torch.nn.Module, optimizer: torch.optim.Optimizer, saved: Tensors, of_optimizer: Tensors) -> None:
    """Put weights and the optimizer's tensors, by name, in place.

    Raises:
        ConfigError: they are of another model.
    """
    parameters = dict(model.named_parameters())
    absent = [name for name in parameters if name not in saved]
    if absent:
        raise ConfigError([Violation("resume", rule=f"the checkpoint lacks {absent[0]}")])
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(_like(parameter, saved[name]))
    for key, tensor in of_optimizer.items():
        what, _, name = key.partition("/")
        optimizer.state[parameters[name]][what] = _like(parameters[name], tensor)


def _like(parameter: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """``tensor``, on the device of ``parameter`` and sharded like it; a scalar is never sharded."""
    tensor = tensor.to(parameter.device)
    if isinstance(parameter, DTensor) and tensor.ndim:
        return distribute_tensor(tensor, parameter.device_mesh, parameter.placements)
    return tensor
