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
from gpt2hydra.training.model import WithLoss
from gpt2hydra.training.processes import ALONE, Process
from gpt2hydra.utils.formatting import show

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "bf16_pure": "bf16-true"}
"""Our name → Fabric's."""


def setup_fabric(config: TrainingConfig, device: torch.device, process: Process = ALONE) -> Fabric:
    """This process's Fabric, joined with those of the others that torchrun started."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it prints a line for each process that joins
    precision: Any = PRECISIONS[config.precision]
    if process.count == 1:
        return Fabric(accelerator=device.type, devices=1, precision=precision, plugins=LightningEnvironment())
    fabric = Fabric(
        accelerator=device.type,
        devices=process.local_count,
        num_nodes=process.count // process.local_count,
        strategy=_strategy(config, process.count, "nccl" if device.type == "cuda" else "gloo"),
        precision=precision,
        plugins=TorchElasticEnvironment(),
    )
    fabric.launch()
    return fabric


def _strategy(config: TrainingConfig, count: int, backend: str) -> Strategy:
    group: dict[str, Any] = {"process_group_backend": backend, "timeout": timedelta(seconds=config.stall_timeout)}
    if config.strategy == "fsdp":
        return ModelParallelStrategy(_shard, data_parallel_size=count, tensor_parallel_size=1, **group)
    return DDPStrategy(gradient_as_bucket_view=True, **group)


def _shard(model: Any, mesh: Any) -> WithLoss:
    """Shard the parameters of each block, and of what is around the blocks, among all processes (FSDP2)."""
    assert isinstance(model, WithLoss)
    for block in model.gpt2.transformer.h:
        fully_shard(block, mesh=mesh["data_parallel"])
    fully_shard(model, mesh=mesh["data_parallel"], reshard_after_forward=True)  # an evaluation, too, leaves it as it was
    return model


def assert_same_config(fabric: Fabric, config: TrainConfig) -> None:
    """Checked before anything is computed together, which would hang or mix two runs.

    Raises:
        ConfigError: a process has another value of a key.
    """
    if fabric.world_size == 1:
        return
    mine = result_values(config) | {f"training.{key}": value for key, value in leaves(config.training)}
    of_all: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(of_all, mine)
    for key, value in of_all[0].items():
        for rank, theirs in enumerate(of_all):
            if theirs[key] != value:
                rule = (
                    f"is {show(value)} in process 0 and {show(theirs[key])} in process {rank}; all must run one configuration"
                )
                raise ConfigError([Violation(key, mine[key], rule)])


def close_process_group(fabric: Fabric) -> None:
    """Once all processes have come to the end of a run together, and nothing refers to it any more.

    A thread of gloo that frees a tensor while the interpreter ends aborts the process. So the groups go
    first, which joins their threads. After an error the others may be anywhere, and the groups are left as
    they are.
    """
    if fabric.world_size > 1:
        fabric.barrier()
        torch.distributed.destroy_process_group()
        gc.collect()


def accumulating(fabric: Fabric, model: Any, more: bool) -> AbstractContextManager[None]:
    """Around a pass of a step. The processes add up their gradients when no ``more`` passes follow."""
    if more and fabric.world_size > 1:
        return fabric.no_backward_sync(model)
    return nullcontext()


def gradient_norm(fabric: Fabric, model: Any, optimizer: Any, limit: float) -> torch.Tensor:
    """The norm of all gradients, which are scaled down to ``limit`` if it is larger; still on the device."""
    norm: Any = fabric.clip_gradients(model, optimizer, max_norm=limit, error_if_nonfinite=False)
    gathered: torch.Tensor = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return gathered


def seed_dropout(device: torch.device, seed: int, step: int, rank: int) -> None:
    """Make dropout follow from the seed, the step and the process, so that no random state is saved."""
    number = int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0])
    if device.type == "cpu":  # torch.manual_seed also notes it, with a traceback, for a GPU that will never be used: 1 ms
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)


def pad_batches_across_ranks(fabric: Fabric, batches: Iterator[Any], empty: Any) -> Iterator[tuple[Any, bool]]:
    """The batches of this process, with True; then ``empty``, with False, while another has some.

    So every process computes as many passes, as FSDP needs.
    """
    if fabric.world_size == 1:
        yield from ((batch, True) for batch in batches)
        return
    while True:
        batch = next(batches, None)
        left: Any = fabric.all_reduce(torch.tensor(0 if batch is None else 1, device=fabric.device), reduce_op="sum")
        if not int(left):
            return
        yield (empty, False) if batch is None else (batch, True)
