"""The speed and memory of a run, measured and predicted."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from gpt2hydra.config.run import TrainConfig
from gpt2hydra.sizing.counts import flops_per_token
from gpt2hydra.sizing.device import LIBRARIES_BYTES
from gpt2hydra.sizing.fit import use_this_machine
from gpt2hydra.sizing.plan import Plan
from gpt2hydra.utils.formatting import format_bytes


@dataclass(frozen=True)
class Usage:
    """The resources that one process used; None if unknown."""

    tokens_per_second: float | None
    """Of all processes together."""
    mfu: float | None
    """Model FLOPs utilization: FLOPs of the matrix products over the devices' peak (arXiv 2204.02311)."""
    peak_memory_bytes: int | None
    """On a GPU, of PyTorch's tensors; on the CPU, of the process, Python and libraries included."""
    predicted_memory_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """The fields, for ``run.json``."""
        return asdict(self)

    def __str__(self) -> str:
        speed = f"{self.tokens_per_second:,.0f} tokens/s" if self.tokens_per_second else "unknown"
        used = f", {self.mfu:.1%} of the device's peak (MFU)" if self.mfu is not None else ""
        if self.peak_memory_bytes is None:
            return f"{speed}{used}"
        return (
            f"{speed}{used}; {format_bytes(self.peak_memory_bytes)} of memory "
            f"(predicted: {format_bytes(self.predicted_memory_bytes)})"
        )


class ResourceMeter:
    """Measures from its construction on, which must be before the model is built."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            _reset_peak_rss()

    def usage(self, config: TrainConfig, tokens_per_second: float | None, processes: int) -> Usage:
        """Return what was used until now."""
        rate, mfu = Plan(config).device.published_flops, None
        if rate is not None and tokens_per_second is not None:
            mfu = tokens_per_second * flops_per_token(config.model, config.training.seq_len) / (rate * processes)
        memory = Plan(use_this_machine(config)).memory
        if self.device.type == "cuda":
            return Usage(tokens_per_second, mfu, torch.cuda.max_memory_allocated(self.device), memory.total)
        return Usage(tokens_per_second, mfu, _read_peak_rss(), memory.resident + round(LIBRARIES_BYTES))


def _reset_peak_rss() -> None:
    """Reset the peak RSS of this process to its present RSS (proc(5): clear_refs)."""
    with suppress(OSError):  # an older kernel: the peak of all runs in this process
        Path("/proc/self/clear_refs").write_text("5")


def _read_peak_rss() -> int | None:
    """Return the peak RSS of this process in bytes; None except on Linux."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return 1024 * int(found[1]) if found else None
