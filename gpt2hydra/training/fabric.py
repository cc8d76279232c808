"""Lightning Fabric as this package uses it: device, precision, and the processes of a run."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
from lightning_fabric.strategies.strategy import Strategy
from torch.distributed.fsdp import fully_shard

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.fingerprint import result_values
from gpt2hydra.config.keys import leaves
from gpt2hydra.config.run import TrainConfig, TrainingConfig
from gpt2hydra.training.model import GPT2WithLoss
from gpt2hydra.training.processes import SINGLE_PROCESS, Process
from gpt2hydra.utils.formatting import format_value

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "bf16_pure": "bf16-true"}
"""Value of ``training.precision`` → Fabric's name."""


def setup_fabric(config: TrainingConfig, device: torch.device, process: Process = SINGLE_PROCESS) -> Fabric:
    """Return this process's Fabric, connected with those of the other processes that torchrun started."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it prints a line for each process that joins
    precision: Any = PRECISIONS[config.precision]
    if process.world_size == 1:
        return Fabric(accelerator=device.type, devices=1, precision=precision, plugins=LightningEnvironment())
    fabric = Fabric(
        accelerator=device.type,
        devices=process.local_world_size,
        num_nodes=process.world_size // process.local_world_size,
        strategy=_strategy(config, process.world_size, "nccl" if device.type == "cuda" else "gloo"),
        precision=precision,
        plugins=TorchElasticEnvironment(),
    )
    fabric.launch()
    return fabric


def _strategy(config: TrainingConfig, world_size: int, backend: str) -> Strategy:
    group: dict[str, Any] = {"process_group_backend": backend, "timeout": timedelta(seconds=config.stall_timeout)}
    if config.strategy == "fsdp":
        return ModelParallelStrategy(_shard, data_parallel_size=world_size, tensor_parallel_size=1, **group)
    return DDPStrategy(gradient_as_bucket_view=True, **group)


def _shard(model: Any, mesh: Any) -> GPT2WithLoss:
    """Shard the parameters of each block, and of the other layers, among all processes (FSDP2)."""
    assert isinstance(model, GPT2WithLoss)
    for block in model.gpt2.transformer.h:
        fully_shard(block, mesh=mesh["data_parallel"])
    fully_shard(model, mesh=mesh["data_parallel"], reshard_after_forward=True)  # reshards after an evaluation, too
    return model


def assert_same_config(fabric: Fabric, config: TrainConfig) -> None:
    """Check that all processes have the same configuration; otherwise they would hang or mix two runs.

    Raises:
        ConfigError: a process has another value of a key.
    """
    if fabric.world_size == 1:
        return
    own_values = result_values(config) | {f"training.{key}": value for key, value in leaves(config.training)}
    gathered: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(gathered, own_values)
    for key, value in gathered[0].items():
        for rank, others in enumerate(gathered):
            if others[key] != value:
                rule = (
                    f"is {format_value(value)} in process 0 "
                    f"and {format_value(others[key])} in process {rank}; all must run one configuration"
                )
                raise ConfigError([Violation(key, own_values[key], rule)])


def close_process_group(fabric: Fabric) -> None:
    """Destroy the process groups after all processes have ended a run and nothing refers to it any more.

    If a thread of gloo frees a tensor while the interpreter ends, the process aborts. Destroying the groups
    joins these threads. Not called after an error, because the other processes may not reach it.
    """
    if fabric.world_size > 1:
        fabric.barrier()
        torch.distributed.destroy_process_group()
        gc.collect()


def defer_gradient_sync(fabric: Fabric, model: Any, more_follow: bool) -> AbstractContextManager[None]:
    """Context manager for a micro-batch: gradients are synchronized unless ``more_follow`` in the step."""
    if more_follow and fabric.world_size > 1:
        return fabric.no_backward_sync(model)
    return nullcontext()


def clip_gradients(fabric: Fabric, model: Any, optimizer: Any, limit: float) -> torch.Tensor:
    """Clip the gradients to the norm ``limit``. Return their norm before clipping, a scalar on the device."""
    norm: Any = fabric.clip_gradients(model, optimizer, max_norm=limit, error_if_nonfinite=False)
    gathered: torch.Tensor = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return gathered


def seed_dropout(device: torch.device, seed: int, step: int, rank: int) -> None:
    """Seed dropout by seed, step and rank, so that random states need not be saved."""
    number = int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0])
    if device.type == "cpu":  # torch.manual_seed also records it, with a traceback, for a GPU that is never used: 1 ms
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)


def pad_batches_across_ranks(fabric: Fabric, batches: Iterator[Any], empty: Any) -> Iterator[tuple[Any, bool]]:
    """Yield this process's batches with True, then ``empty`` with False while another process has more.

    So every process computes the same number of batches, which FSDP requires."""
    if fabric.world_size == 1:
        yield from ((batch, True) for batch in batches)
        return
    while True:
        batch = next(batches, None)
        left: Any = fabric.all_reduce(torch.tensor(0 if batch is None else 1, device=fabric.device), reduce_op="sum")
        if not int(left):
            return
        yield (empty, False) if batch is None else (batch, True)
