"""What a run took of its device, and what was predicted."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from gpt2hydra.config.run import TrainConfig
from gpt2hydra.sizing.counts import flops_per_token
from gpt2hydra.sizing.device import LIBRARIES
from gpt2hydra.sizing.fit import on_this_machine
from gpt2hydra.sizing.plan import Plan
from gpt2hydra.utils.formatting import gigabytes


@dataclass(frozen=True)
class Usage:
    """Of one process; None where it cannot be known."""

    tokens_per_second: float | None
    """Of all processes together."""
    mfu: float | None
    """Model FLOPs utilisation: matrix products, as a share of the devices' peak (arXiv 2204.02311)."""
    peak_memory_bytes: int | None
    """On a GPU, of PyTorch's tensors; on the CPU, of the process, Python and libraries included."""
    predicted_memory_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """For ``run.json``."""
        return asdict(self)

    def __str__(self) -> str:
        speed = f"{self.tokens_per_second:,.0f} tokens/s" if self.tokens_per_second else "unknown"
        used = f", {self.mfu:.1%} of the device's peak (MFU)" if self.mfu is not None else ""
        if self.peak_memory_bytes is None:
            return f"{speed}{used}"
        return (
            f"{speed}{used}; {gigabytes(self.peak_memory_bytes)} of memory "
            f"(predicted: {gigabytes(self.predicted_memory_bytes)})"
        )


class ResourceMeter:
    """Counts from before the model is built."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            _reset_peak()

    def usage(self, config: TrainConfig, tokens_per_second: float | None, processes: int) -> Usage:
        """What was used until now."""
        rate, mfu = Plan(config).device.published, None
        if rate is not None and tokens_per_second is not None:
            mfu = tokens_per_second * flops_per_token(config.model, config.training.seq_len) / (rate * processes)
        memory = Plan(on_this_machine(config)).memory
        if self.device.type == "cuda":
            return Usage(tokens_per_second, mfu, torch.cuda.max_memory_allocated(self.device), memory.total)
        return Usage(tokens_per_second, mfu, _highest_resident(), memory.resident + round(LIBRARIES))


def _reset_peak() -> None:
    """Let the highest point of this process's memory begin at what it has now (proc(5): clear_refs)."""
    with suppress(OSError):  # an older kernel: the highest point of all runs
        Path("/proc/self/clear_refs").write_text("5")


def _highest_resident() -> int | None:
    """Bytes of this process that were in memory at most; None elsewhere than on Linux."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return 1024 * int(found[1]) if found else None
