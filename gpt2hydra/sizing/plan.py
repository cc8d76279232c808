"""The plan: the cost of a run before it starts. Imports PyTorch only to time a step.

GB are 10^9 bytes, as vendors count memory. :mod:`.describe` makes the text of a plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gpt2hydra.config.errors import Setting
from gpt2hydra.config.fingerprint import fingerprints
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.sizing import counts, timing
from gpt2hydra.sizing.device import Device
from gpt2hydra.sizing.fit import DeviceShare, largest_batch, step_memory
from gpt2hydra.sizing.memory import MEMORY_PARTS, TrainingMemory

TextTokens = tuple[int, bool]
"""Number of tokens of the training text, and whether it is exact (else estimated)."""

KV_CACHE_DTYPE = "float32"
"""Data type in which ``generate.py`` computes."""


@dataclass(frozen=True)
class Plan:
    """The cost of a run. :mod:`.describe` is for people, :meth:`to_dict` for programs."""

    config: TrainConfig
    text: TextTokens | None = None
    changed: Sequence[Setting] = ()
    """The values that are not defaults, each with its source."""

    @cached_property
    def device(self) -> Device:
        """The device of the configuration, or this machine."""
        return Device.of(self.config.hardware, self.config.training)

    @cached_property
    def share(self) -> DeviceShare:
        """The part of a step that each device computes."""
        return DeviceShare.of(self.config.training, self.device.count)

    @cached_property
    def memory(self) -> TrainingMemory:
        """The memory of one training step on one device."""
        return step_memory(self.config, self.device)

    @cached_property
    def largest_batch(self) -> int | None:
        """See :func:`gpt2hydra.sizing.fit.largest_batch`."""
        return largest_batch(self.config, self.device)

    @property
    def tokens(self) -> int:
        """Tokens of all steps."""
        return self.config.training.tokens_per_step * self.config.training.max_steps

    @cached_property
    def flops(self) -> int:
        """FLOPs of the matrix products of all steps, without recomputation (:func:`.counts.flops_per_token`)."""
        return self.tokens * counts.flops_of_shape(self.config.model, self.config.training.seq_len)

    @cached_property
    def seconds(self) -> float | None:
        """Seconds of all steps, measured or by the utilization of all devices; None if the speed is unknown."""
        if self.device.is_timed:
            return self.step_seconds and self.step_seconds * self.config.training.max_steps
        rate = self.device.published_flops
        return None if rate is None else self.flops / (rate * self.device.utilization * self.device.count)

    @cached_property
    def step_seconds(self) -> float | None:
        """Seconds of one step, measured on this processor; None if it does not fit or PyTorch is missing."""
        if not self.device.is_timed or self.fits is False:
            return None
        share = self.share
        return timing.step_seconds(
            self.config.model, self.config.training, share.sequences, share.batch, self.device.local_processes
        )

    @property
    def checkpoint(self) -> int:
        """Bytes of the saved weights."""
        return counts.checkpoint_bytes(self.config.model, self.config.training.weights_dtype)

    @property
    def kv_cache(self) -> int:
        """Bytes of keys and values for one sequence of the length in training."""
        return counts.kv_cache_bytes(self.config.model, 1, self.config.training.seq_len, KV_CACHE_DTYPE)

    @property
    def fits(self) -> bool | None:
        """Whether the predicted peak fits the usable memory of the device; None if that is unknown."""
        return None if self.device.usable is None else self.memory.resident <= self.device.usable

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers in bytes, tokens, FLOPs and seconds; the keys say which are predicted."""
        model, training, device, peak = self.config.model, self.config.training, self.device, self.memory.peak
        parameters = counts.parameters(model)
        return {
            "parameters": {"total": parameters.total, "non_embedding": parameters.non_embedding, **vars(parameters)},
            "device": {
                "name": device.name,
                "memory_bytes": device.memory,
                "reserve_bytes": dict(device.reserve),
                "usable_bytes": device.usable,
                "flops_per_second": device.published_flops,
            },
            "devices": device.count,
            "strategy": self.memory.step.strategy if device.count > 1 else None,
            "sequences_per_device": self.share.sequences,
            "sequences_per_pass": self.share.batch,
            "predicted_memory_bytes": {part: getattr(peak, part) for part in MEMORY_PARTS},
            "predicted_peak_bytes": peak.total,
            "predicted_peak_moment": peak.name,
            "predicted_allocator_overhead_bytes": self.memory.allocator_overhead,
            "fits": self.fits,
            "largest_batch_size": self.largest_batch,
            "tokens_per_step": training.tokens_per_step,
            "steps": training.max_steps,
            "tokens": self.tokens,
            "text_tokens": self.text and self.text[0],
            "training_flops": self.flops,
            "measured_step_seconds": self.step_seconds,
            "predicted_seconds": self.seconds,
            "utilization": device.utilization,
            "checkpoint_bytes": self.checkpoint,
            "kv_cache_bytes": self.kv_cache,
            "kv_cache_dtype": KV_CACHE_DTYPE,
            "fingerprints": fingerprints(self.config),
            "changed": [{"key": each.key, **each.to_dict()} for each in self.changed],
        }
