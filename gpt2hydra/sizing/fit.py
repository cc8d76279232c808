"""Find out whether a step fits a device, the largest batch that fits, and remedies. Standard library only."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from gpt2hydra.config.run import MAX_BATCH_SIZE, HardwareConfig, TrainConfig, TrainingConfig
from gpt2hydra.sizing.device import Device, has_bf16_instructions
from gpt2hydra.sizing.memory import TrainingMemory, training_memory
from gpt2hydra.utils.formatting import format_bytes, format_value
from gpt2hydra.utils.table import format_table


@dataclass(frozen=True)
class DeviceShare:
    """The part of a step that each device computes."""

    sequences: int
    """Sequences of one device in a step."""
    batch: int
    """Sequences of one micro-batch."""

    @property
    def micro_batches(self) -> int:
        """Micro-batches of a step on one device."""
        return -(-self.sequences // self.batch)

    @classmethod
    def of(cls, training: TrainingConfig, devices: int) -> DeviceShare:
        """Return the part of each device: its sequences, in micro-batches of at most ``batch_size``."""
        sequences = -(-training.sequences_per_step // devices)
        return cls(sequences, min(training.batch_size, sequences))


_memory_of_shape = lru_cache(maxsize=4096)(training_memory)
"""Cached: many points of a sweep have the same shape."""


def step_memory(config: TrainConfig, device: Device) -> TrainingMemory:
    """Return the memory of one training step on one device, as :mod:`gpt2hydra.training` computes it."""
    training, share = config.training, DeviceShare.of(config.training, device.count)
    return _memory_of_shape(
        config.model,
        share.batch,
        training.seq_len,
        training.precision,
        training.gradient_checkpointing,
        training.attention,
        accumulation=share.micro_batches > 1,
        keeps_logits=False,
        device=device.kind,
        devices=device.count,
        strategy="fsdp" if training.strategy == "fsdp" else "ddp",
    )


def largest_batch(config: TrainConfig, device: Device, at_most: int = MAX_BATCH_SIZE) -> int | None:
    """The largest ``training.batch_size`` whose predicted peak fits; 0 if none does, None if unknown.

    With several devices it is one whose sequences divide among them.
    """
    usable = device.usable
    if usable is None:
        return None
    batches = range(1, at_most + 1)  # the peak grows with them
    largest = bisect.bisect_right(batches, usable, key=lambda batch: peak_of_batch(config, device, batch))
    return largest - largest % (device.count // math.gcd(device.count, config.training.gradient_accumulation_steps))


def peak_of_batch(config: TrainConfig, device: Device, batch: int) -> int:
    """Return the predicted peak in bytes with another ``training.batch_size``."""
    return step_memory(_replace_training(config, batch_size=batch), device).resident


def _replace_training(config: TrainConfig, **changes: Any) -> TrainConfig:
    """Return the config with other settings of training, and without hardware, so that any batch is valid."""
    return replace(config, training=replace(config.training, **changes), hardware=HardwareConfig())


def use_this_machine(config: TrainConfig) -> TrainConfig:
    """Return the config with this machine as its hardware; unchanged if this machine's memory is unknown."""
    local = replace(config, hardware=HardwareConfig())
    return config if Device.of(local.hardware, local.training).memory is None else local


# ---------------------------------------------------------------------------------------------------------------- warnings


def plan_warnings(config: TrainConfig) -> list[str]:
    """Return warnings: the predicted peak exceeds the device's memory, or the precision is slow there."""
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
    """Return False if this machine's processor is known to have no bf16 instructions, else True."""
    return not (device.kind == "cpu" and device.is_this_machine and has_bf16_instructions() is False)


def _memory_warning(config: TrainConfig, device: Device) -> str:
    """Return a warning that a run will not fit, with each change that would help; empty if it fits."""
    peak = step_memory(config, device).resident
    if device.usable is None or peak <= device.usable:
        return ""
    head = (
        f"warning: the predicted peak, {format_bytes(peak)}, "
        f"exceeds the {format_bytes(device.usable)} available on {device.name}."
    )
    remedies = list(_remedies(config, device))
    if not remedies:
        return f"{head}\n  No batch size, precision or strategy makes it fit: use a smaller model or a larger device."
    return "\n".join([head, "  Predicted to fit:", *format_table(remedies, right=(1,), indent="    ")])


def _remedies(config: TrainConfig, device: Device) -> Iterator[tuple[str, str]]:
    """Yield ``(overrides, peak)`` of each change that makes the step fit, if needed with a smaller batch."""
    training, tried = config.training, []
    checkpointing = {"gradient_checkpointing": True}
    candidates: list[dict[str, Any]] = [{}, checkpointing]
    if device.count > 1:
        candidates.append({"strategy": "fsdp"})
    if _has_bf16(device):
        candidates += [{"precision": "bf16"}] if training.precision == "fp32" else []
        candidates.append(checkpointing | {"precision": "bf16_pure"})
    for candidate in candidates:
        changes = {name: value for name, value in candidate.items() if getattr(training, name) != value}
        if changes in tried:
            continue
        tried.append(changes)
        changed = _replace_training(config, **changes)
        batch = largest_batch(changed, device, training.batch_size)
        if not batch:
            continue
        overrides = [f"training.{name}={format_value(value)}" for name, value in changes.items()]
        if batch < training.batch_size:
            changed = _replace_training(changed, batch_size=batch)
            overrides.append(f"training.batch_size={batch}")
        yield " ".join(overrides), format_bytes(step_memory(changed, device).resident)
