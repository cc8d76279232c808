"""Save and restore the weights and AdamW's tensors of a model in training, for any number of processes.

Imports torch. Every tensor is gathered and has its parameter's name, so that one process can continue what
many saved, and the reverse.
"""

from __future__ import annotations

import torch
from torch.distributed.tensor import DTensor, distribute_tensor

from gpt2hydra.checkpoint.model_files import Tensors
from gpt2hydra.config.errors import ConfigError, Violation


def gather_weights(model: torch.nn.Module, keep: bool = True) -> Tensors:
    """Every parameter, gathered, on the CPU; empty unless ``keep``. Every process must call this."""
    gathered = ((name, _gather(parameter)) for name, parameter in model.named_parameters())
    return {name: each.detach().cpu() for name, each in gathered if keep}


def gather_optimizer(model: torch.nn.Module, optimizer: torch.optim.Optimizer, keep: bool = True) -> Tensors:
    """The optimizer's tensors, gathered, on the CPU: ``exp_avg/transformer.h.0.attn.c_attn.weight``, ...

    Empty before the optimizer's first step, or unless ``keep``. Every process must call this.
    """
    parameters = dict(model.named_parameters())
    assert not optimizer.state or all(each in optimizer.state for each in parameters.values()), "every parameter was trained"
    gathered = (
        (f"{what}/{name}", _gather(each))
        for name, parameter in parameters.items()
        for what, each in optimizer.state.get(parameter, {}).items()
    )
    return {name: each.detach().cpu() for name, each in gathered if keep}


def _gather(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def restore(model: torch.nn.Module, optimizer: torch.optim.Optimizer, saved: Tensors, optimizer_tensors: Tensors) -> None:
    """Copy weights and the optimizer's tensors, both by name, into a model and its optimizer.

    Raises:
        ConfigError: they are of another model.
    """
    parameters = dict(model.named_parameters())
    absent = [name for name in parameters if name not in saved]
    if absent:
        raise ConfigError([Violation("resume", rule=f"the checkpoint lacks {absent[0]}")])
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(_place_like(parameter, saved[name]))
    for key, tensor in optimizer_tensors.items():
        what, _, name = key.partition("/")
        optimizer.state[parameters[name]][what] = _place_like(parameters[name], tensor)


def _place_like(parameter: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """``tensor`` on the device of ``parameter`` and sharded like it; a scalar is never sharded."""
    tensor = tensor.to(parameter.device)
    if isinstance(parameter, DTensor) and tensor.ndim:
        return distribute_tensor(tensor, parameter.device_mesh, parameter.placements)
    return tensor
