"""What a run took of its device, beside what was predicted."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Any

import torch

from gpt2hydra.config.run import TrainConfig
from gpt2hydra.sizing.counts import flops_per_token
from gpt2hydra.sizing.fit import gigabytes, on_this_machine
from gpt2hydra.sizing.plan import Plan


@dataclass(frozen=True)
class Usage:
    """Of one process; None where it cannot be known."""

    tokens_per_second: float | None
    """Of all processes together."""
    mfu: float | None
    """Model FLOPs utilisation: the FLOPs of the model's matrix products, as a share of the devices' peak (arXiv 2204.02311)."""
    peak_memory_bytes: int | None
    """On a GPU, of PyTorch's tensors; on the CPU, of the process above what it had before the model was built."""
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
    """Begins before the model is built."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._before = _resident() if device.type == "cpu" else None
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def usage(self, config: TrainConfig, tokens_per_second: float | None, processes: int) -> Usage:
        """What was used until now."""
        rate, mfu = Plan(config).device.published, None
        if rate is not None and tokens_per_second is not None:
            mfu = tokens_per_second * flops_per_token(config.model, config.training.seq_len) / (rate * processes)
        return Usage(tokens_per_second, mfu, self._peak(), Plan(on_this_machine(config)).memory.resident)

    def _peak(self) -> int | None:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        if self._before is None:
            return None
        import resource  # on POSIX alone, as _resident() has seen

        unit = 1 if sys.platform == "darwin" else 1024
        return max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - self._before)


def _resident() -> int | None:
    """Bytes of this process in memory now; None elsewhere than on Linux."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    import resource

    return pages * resource.getpagesize()
