"""What a device holds: whether a training step fits, the largest batch that does, what would make it. Standard library only."""

from __future__ import annotations

import bisect
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from gpt2hydra.config.run import LARGEST_BATCH, HardwareConfig, TrainConfig, TrainingConfig
from gpt2hydra.config.words import show
from gpt2hydra.sizing.memory import TrainingMemory, training_memory

# ----------------------------------------------------------------------------------------------------------- the device


@dataclass(frozen=True)
class Device:
    """What the plan reckons with. ``memory`` is in bytes, ``flops`` a second; None where it is not known."""

    name: str
    kind: str
    memory: int | None
    flops: float | None
    utilization: float
    shared: bool = False
    """Other programs use the same memory, and ``memory`` is what they leave."""

    def __str__(self) -> str:
        if self.memory is None:
            return f"{self.name}, whose memory is not known"
        return f"the {gigabytes(self.memory)} {'available on' if self.shared else 'of'} {self.name}"

    @classmethod
    def of(cls, hardware: HardwareConfig, training: TrainingConfig) -> Device:
        """The device that the configuration names, or this machine."""
        rate = hardware.fp32_tflops if training.precision == "fp32" else hardware.bf16_tflops
        flops = None if rate is None else rate * 1e12
        if hardware.memory_gb is not None:
            memory = round(hardware.memory_gb * 1e9)
            return cls(hardware.name, "cpu" if training.device == "cpu" else "cuda", memory, flops, hardware.utilization)
        gpu = None if training.device == "cpu" else _gpu_memory()
        if gpu is not None:
            return cls(f"{hardware.name}'s GPU", "cuda", gpu, flops, hardware.utilization)
        return cls(hardware.name, "cpu", _machine_memory(), flops, hardware.utilization, shared=True)


@cache
def _gpu_memory() -> int | None:
    """Bytes of the first NVIDIA GPU, asked of its driver: importing torch would take seconds."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout  # noqa: S603 - no user input
        return int(said.splitlines()[0]) * 2**20  # it says MiB
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def _machine_memory() -> int | None:
    """Bytes that a program may still take: what Linux calls available, within a container's limit; elsewhere all there are."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    available = _first_number("/proc/meminfo", r"MemAvailable: +(\d+) kB")
    limit = _first_number("/sys/fs/cgroup/memory.max", r"(\d+)")
    return min(total, total if available is None else 1024 * available, total if limit is None else limit)


def _first_number(file: str, pattern: str) -> int | None:
    try:
        found = re.search(pattern, Path(file).read_text())
    except OSError:
        return None
    return int(found[1]) if found else None


# ------------------------------------------------------------------------------------------------------------- what fits


def step_memory(config: TrainConfig, device: Device) -> TrainingMemory:
    """The memory of one training step as :mod:`gpt2hydra.training.run` runs it."""
    training = config.training
    return training_memory(
        config.model,
        training.batch_size,
        training.seq_len,
        training.precision,
        training.gradient_checkpointing,
        training.attention,
        accumulation=training.gradient_accumulation_steps > 1,
        device=device.kind,
    )


def largest_batch(config: TrainConfig, device: Device) -> int | None:
    """The largest ``training.batch_size`` whose predicted peak fits; 0 if none does, None if the memory is not known."""
    memory = device.memory
    if memory is None:
        return None
    batches = range(1, LARGEST_BATCH + 1)  # the peak grows with them
    return bisect.bisect_right(batches, memory, key=lambda batch: peak_of_batch(config, device, batch))


def peak_of_batch(config: TrainConfig, device: Device, batch: int) -> int:
    """The predicted peak, in bytes, with another ``training.batch_size``."""
    return step_memory(_with(config, batch_size=batch), device).total


def _with(config: TrainConfig, **changes: Any) -> TrainConfig:
    return replace(config, training=replace(config.training, **changes))


def on_this_machine(config: TrainConfig) -> TrainConfig:
    """The same run, reckoned with the memory that is here, where that is known."""
    here = replace(config, hardware=HardwareConfig())
    return config if Device.of(here.hardware, here.training).memory is None else here


def memory_warning(config: TrainConfig) -> str:
    """Why a run is not expected to fit, and each change that would make it; nothing where it fits or is not known."""
    device = Device.of(config.hardware, config.training)
    peak = step_memory(config, device).total
    if device.memory is None or peak <= device.memory:
        return ""
    head = f"warning: the predicted peak, {gigabytes(peak)}, exceeds {device}."
    remedies = list(_remedies(config, device))
    if not remedies:
        return f"{head}\n  Neither batch, checkpointing nor precision makes it fit: take a smaller model or a larger device."
    return "\n".join([head, "  What would fit, as predicted:", *(f"    {overrides}   {size}" for overrides, size in remedies)])


def _remedies(config: TrainConfig, device: Device) -> Iterator[tuple[str, str]]:
    """Overrides that make it fit, and the peak with them: one change first, then with the batch that fits."""
    training, tried = config.training, []
    bf16 = {"precision": "bf16"} if training.precision == "fp32" else {}
    for wanted in ({}, {"gradient_checkpointing": True}, bf16, {"gradient_checkpointing": True, "precision": "bf16_pure"}):
        changes = {name: value for name, value in wanted.items() if getattr(training, name) != value}
        if changes in tried:
            continue
        tried.append(changes)
        changed = _with(config, **changes)
        batch = min(largest_batch(changed, device) or 0, config.training.batch_size)
        if not batch:
            continue
        overrides = [f"training.{name}={show(value)}" for name, value in changes.items()]
        if batch < config.training.batch_size:
            changed = _with(changed, batch_size=batch)
            overrides.append(f"training.batch_size={batch}")
        yield " ".join(overrides), gigabytes(step_memory(changed, device).total)


def gigabytes(count: int) -> str:
    """Bytes in the largest unit that people use."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} B"
