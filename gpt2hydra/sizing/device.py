"""The device that a plan assumes: memory, speed, and how many devices share a step. Standard library only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gpt2hydra.config.run import HardwareConfig, TrainingConfig

CUDA_CONTEXT_BYTES = 0.6e9
"""GPU memory that CUDA's context, cuBLAS and PyTorch's kernels use: 0.3 to 0.6 GB since Ampere."""

FRAGMENTATION_SHARE = 0.03
"""Share of GPU memory that PyTorch's allocator holds in unusably small pieces, if shapes do not change."""

LIBRARIES_BYTES = 0.5e9
"""Bytes of a process that has loaded PyTorch, transformers and matplotlib: 0.46e9, measured."""


@dataclass(frozen=True)
class Device:
    """One device, and the number of equal devices that share a step. Memory is in bytes; None is unknown."""

    name: str
    kind: str
    """``cuda`` or ``cpu``: the kernels that run."""
    memory: int | None
    """Memory that programs can use; for this machine's processor, without that of other programs."""
    reserve: Mapping[str, int]
    """Part of it that is not for the tensors of a step: reason → bytes."""
    published_flops: float | None
    """FLOP/s in the vendor's data sheet."""
    utilization: float
    count: int = 1
    is_this_machine: bool = False
    """Whether it is this machine, not one that the configuration describes."""
    local_processes: int = 1
    """Processes of the run that share this machine's processor and memory."""

    @property
    def usable(self) -> int | None:
        """Bytes for the tensors of a step."""
        return None if self.memory is None else max(0, self.memory - sum(self.reserve.values()))

    @property
    def is_timed(self) -> bool:
        """Whether :mod:`.timing` measures its speed: this machine's processor, without a published speed."""
        return self.published_flops is None and self.is_this_machine and self.kind == "cpu"

    @classmethod
    def of(cls, hardware: HardwareConfig, training: TrainingConfig) -> Device:
        """Return the device that the configuration describes, or this machine if it gives no memory."""
        tflops = hardware.fp32_tflops if training.precision == "fp32" else hardware.bf16_tflops
        is_this_machine, count, local_processes = hardware.memory_gb is None, count_devices(hardware), 1
        gpu = gpu_memory() if is_this_machine and training.device != "cpu" else None
        kind = "cuda" if gpu is not None or (not is_this_machine and training.device != "cpu") else "cpu"
        if hardware.memory_gb is not None:
            memory: int | None = round(hardware.memory_gb * 1e9)
        elif gpu is not None:
            memory = gpu
        else:
            local_processes = min(count, _number("LOCAL_WORLD_SIZE") or count)
            all_of_it = machine_memory()
            memory = None if all_of_it is None else all_of_it // local_processes
        return cls(
            name=f"{hardware.name}'s GPU" if gpu is not None else hardware.name,
            kind=kind,
            memory=memory,
            reserve=_reserve(hardware, kind, memory or 0),
            published_flops=None if tflops is None else tflops * 1e12,
            utilization=hardware.utilization,
            count=count,
            is_this_machine=is_this_machine,
            local_processes=local_processes,
        )


def count_devices(hardware: HardwareConfig) -> int:
    """Return the number of devices that share a step: as configured, else as started by torchrun, else one."""
    return hardware.devices or _number("WORLD_SIZE") or 1


def _number(variable: str) -> int | None:
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() and len(text) < 7 else None


def _reserve(hardware: HardwareConfig, kind: str, memory: int) -> dict[str, int]:
    if hardware.reserve_gb is not None:
        return {"hardware.reserve_gb": round(hardware.reserve_gb * 1e9)}
    if kind == "cuda":
        return {"CUDA context": round(CUDA_CONTEXT_BYTES), "fragmentation": round(FRAGMENTATION_SHARE * memory)}
    return {"Python and libraries": round(LIBRARIES_BYTES)}


# --------------------------------------------------------------------------------------------------------- this machine


@cache
def gpu_memory() -> int | None:
    """Return the usable bytes of the first NVIDIA GPU, or None.

    It asks nvidia-smi, because importing torch takes seconds.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    for query in ("memory.total,memory.reserved", "memory.total"):  # drivers before 495 do not know memory.reserved
        command = [program, f"--query-gpu={query}", "--format=csv,noheader,nounits"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout  # noqa: S603 - no user input
            total, *reserved = map(int, answer.splitlines()[0].split(","))
            return (total - sum(reserved)) * 2**20  # nvidia-smi prints MiB
        except (OSError, subprocess.SubprocessError, ValueError, IndexError):
            continue
    return None


def machine_memory() -> int | None:
    """Return the bytes available to a program (Linux: MemAvailable and the container's limit), or None."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    available = _first_number("/proc/meminfo", r"MemAvailable: +(\d+) kB")
    limit = _first_number("/sys/fs/cgroup/memory.max", r"(\d+)")
    return min(total, total if available is None else 1024 * available, total if limit is None else limit)


def _first_number(file: str, pattern: str) -> int | None:
    found = re.search(pattern, _read(file))
    return int(found[1]) if found else None


def _read(file: str) -> str:
    try:
        return Path(file).read_text()
    except OSError:
        return ""


@cache
def has_bf16_instructions() -> bool | None:
    """Whether this processor has instructions for bfloat16; None if unknown. Only Linux says it.

    Without them, bf16 is many times slower than fp32 in PyTorch: 23 times, measured with 124M parameters.
    """
    features = re.findall(r"^(?:flags|Features)\s*: (.*)$", _read("/proc/cpuinfo"), re.MULTILINE)
    if not features:
        return None
    return not {"avx512_bf16", "amx_bf16", "bf16", "sve"}.isdisjoint(features[0].split())
