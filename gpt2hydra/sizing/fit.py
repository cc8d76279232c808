"""Whether a training step fits a device, and what would. Standard library only."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from gpt2hydra.config.run import LARGEST_BATCH, HardwareConfig, TrainConfig, TrainingConfig
from gpt2hydra.sizing.device import Device, computes_bf16
from gpt2hydra.sizing.memory import TrainingMemory, training_memory
from gpt2hydra.utils.formatting import gigabytes, show
from gpt2hydra.utils.table import table


@dataclass(frozen=True)
class Share:
    """What each of the devices that share a step does of it."""

    sequences: int
    """Of one device, in all its passes."""
    batch: int
    """Of one pass."""

    @property
    def passes(self) -> int:
        """Forward and backward passes of a step."""
        return -(-self.sequences // self.batch)

    @classmethod
    def of(cls, training: TrainingConfig, devices: int) -> Share:
        """Each device takes its part of a step's sequences in passes of at most ``batch_size``."""
        sequences = -(-training.sequences_per_step // devices)
        return cls(sequences, min(training.batch_size, sequences))


_memory_of_shape = lru_cache(maxsize=4096)(training_memory)
"""The points of a sweep share shapes."""


def step_memory(config: TrainConfig, device: Device) -> TrainingMemory:
    """The memory of one training step on one device, as :mod:`gpt2hydra.training` runs it."""
    training, share = config.training, Share.of(config.training, device.count)
    return _memory_of_shape(
        config.model,
        share.batch,
        training.seq_len,
        training.precision,
        training.gradient_checkpointing,
        training.attention,
        accumulation=share.passes > 1,
        keeps_logits=False,
        device=device.kind,
        devices=device.count,
        strategy="fsdp" if training.strategy == "fsdp" else "ddp",
    )


def largest_batch(config: TrainConfig, device: Device, at_most: int = LARGEST_BATCH) -> int | None:
    """The largest ``training.batch_size`` whose predicted peak fits; 0 if none does, None if that is not known.

    With several devices it is one whose sequences divide among them.
    """
    usable = device.usable
    if usable is None:
        return None
    batches = range(1, at_most + 1)  # the peak grows with them
    largest = bisect.bisect_right(batches, usable, key=lambda batch: peak_of_batch(config, device, batch))
    return largest - largest % (device.count // math.gcd(device.count, config.training.gradient_accumulation_steps))


def peak_of_batch(config: TrainConfig, device: Device, batch: int) -> int:
    """The predicted peak, in bytes, with another ``training.batch_size``."""
    return step_memory(_with(config, batch_size=batch), device).resident


def _with(config: TrainConfig, **changes: Any) -> TrainConfig:
    """Other settings of training on a known device: a batch need not divide among several."""
    return replace(config, training=replace(config.training, **changes), hardware=HardwareConfig())


def on_this_machine(config: TrainConfig) -> TrainConfig:
    """The same run, reckoned with the memory and the processes that are here, where that memory is known."""
    here = replace(config, hardware=HardwareConfig())
    return config if Device.of(here.hardware, here.training).memory is None else here


# ---------------------------------------------------------------------------------------------------------------- warnings


def warnings(config: TrainConfig) -> list[str]:
    """What is not expected to end well: a peak that exceeds the device, a precision that is slow there."""
    device = Device.of(config.hardware, config.training)
    return [text for text in (_memory_warning(config, device), _precision_warning(config, device)) if text]


def _precision_warning(config: TrainConfig, device: Device) -> str:
    precision = config.training.precision
    if precision == "fp32" or _has_bf16(device):
        return ""
    return (
        f"warning: this processor has no instructions for bf16; {precision} is many times slower here than fp32.\n"
        "  try: training.precision=fp32"
    )


def _has_bf16(device: Device) -> bool:
    """Whether bf16 is worth a try: not where the processor is known to lack it."""
    return not (device.kind == "cpu" and device.is_here and computes_bf16() is False)


def _memory_warning(config: TrainConfig, device: Device) -> str:
    """Why a run is not expected to fit, and each change that would help; nothing otherwise."""
    peak = step_memory(config, device).resident
    if device.usable is None or peak <= device.usable:
        return ""
    head = f"warning: the predicted peak, {gigabytes(peak)}, exceeds the {gigabytes(device.usable)} left of {device.name}."
    remedies = list(_remedies(config, device))
    if not remedies:
        return f"{head}\n  No batch, precision or strategy makes it fit: take a smaller model or a larger device."
    return "\n".join([head, "  What would fit, as predicted:", *table(remedies, right=(1,), indent="    ")])


def _remedies(config: TrainConfig, device: Device) -> Iterator[tuple[str, str]]:
    """Overrides that make it fit, and the peak with them: one change first, then with the batch that fits."""
    training, tried = config.training, []
    checkpointing = {"gradient_checkpointing": True}
    wishes: list[dict[str, Any]] = [{}, checkpointing]
    if device.count > 1:
        wishes.append({"strategy": "fsdp"})
    if _has_bf16(device):
        wishes += [{"precision": "bf16"}] if training.precision == "fp32" else []
        wishes.append(checkpointing | {"precision": "bf16_pure"})
    for wanted in wishes:
        changes = {name: value for name, value in wanted.items() if getattr(training, name) != value}
        if changes in tried:
            continue
        tried.append(changes)
        changed = _with(config, **changes)
        batch = largest_batch(changed, device, training.batch_size)
        if not batch:
            continue
        overrides = [f"training.{name}={show(value)}" for name, value in changes.items()]
        if batch < training.batch_size:
            changed = _with(changed, batch_size=batch)
            overrides.append(f"training.batch_size={batch}")
        yield " ".join(overrides), gigabytes(step_memory(changed, device).resident)
