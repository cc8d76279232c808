"""The plan: what a run costs, before it starts. Standard library only.

Each line says whether its figure is exact or predicted. GB are 10^9 bytes, as vendors count memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gpt2hydra.config.errors import Setting
from gpt2hydra.config.fingerprint import fingerprints
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.sizing import counts as sizing
from gpt2hydra.sizing.fit import Device, gigabytes, largest_batch, memory_warning, peak_of_batch, step_memory
from gpt2hydra.sizing.memory import PARTS, TrainingMemory

TextTokens = tuple[int, bool]
"""Tokens of the training text, and whether that is exact or an estimate."""

EXACT, PREDICTED = "exact", "predicted"

KV_CACHE_DTYPE = "float32"
"""As ``generate.py`` computes."""


# --------------------------------------------------------------------------------------------------------------- the plan


@dataclass(frozen=True)
class Plan:
    """What a run costs; ``str()`` is for people, :meth:`to_dict` for programs."""

    config: TrainConfig
    text: TextTokens | None = None
    changed: Sequence[Setting] = ()
    """What is not the default, and who set it."""

    @cached_property
    def device(self) -> Device:
        """The named device, or this machine."""
        return Device.of(self.config.hardware, self.config.training)

    @cached_property
    def memory(self) -> TrainingMemory:
        """Of one training step on the device."""
        return step_memory(self.config, self.device)

    @property
    def tokens(self) -> int:
        """Of the whole run."""
        return self.config.training.tokens_per_step * self.config.training.max_steps

    @property
    def flops(self) -> int:
        """Of the whole run: matrix products, nothing recomputed (:func:`sizing.flops_per_token`)."""
        return self.tokens * sizing.flops_per_token(self.config.model, self.config.training.seq_len)

    @property
    def seconds(self) -> float | None:
        """Of training at the stated utilisation; None where the device's rate is not known."""
        rate = self.device.flops
        return None if rate is None else self.flops / (rate * self.device.utilization)

    @property
    def checkpoint_dtype(self) -> str:
        """Of the saved weights: the type in which they are trained."""
        return "bfloat16" if self.config.training.precision == "bf16_pure" else "float32"

    @property
    def kv_cache(self) -> int:
        """Bytes of keys and values once a sequence is as long as those of training."""
        return sizing.kv_cache_bytes(self.config.model, 1, self.config.training.seq_len, KV_CACHE_DTYPE)

    @property
    def fits(self) -> bool | None:
        """Whether the predicted peak is within the device's memory; None where that is not known."""
        return None if self.device.memory is None else self.memory.total <= self.device.memory

    def to_dict(self) -> dict[str, Any]:
        """Numbers only, in bytes, tokens, FLOPs and seconds; the names tell which are predicted."""
        model, peak = self.config.model, self.memory.peak
        counts = sizing.parameters(model)
        return {
            "parameters": {"total": counts.total, "non_embedding": counts.non_embedding, **vars(counts)},
            "device": {"name": self.device.name, "memory_bytes": self.device.memory, "flops_per_second": self.device.flops},
            "predicted_memory_bytes": {part: getattr(peak, part) for part in PARTS},
            "predicted_peak_bytes": peak.total,
            "predicted_peak_moment": peak.name,
            "fits": self.fits,
            "largest_batch_size": largest_batch(self.config, self.device),
            "tokens_per_step": self.config.training.tokens_per_step,
            "steps": self.config.training.max_steps,
            "tokens": self.tokens,
            "text_tokens": self.text and self.text[0],
            "training_flops": self.flops,
            "predicted_seconds": self.seconds,
            "utilization": self.device.utilization,
            "checkpoint_bytes": sizing.checkpoint_bytes(model, self.checkpoint_dtype),
            "kv_cache_bytes": self.kv_cache,
            "kv_cache_dtype": KV_CACHE_DTYPE,
            "fingerprints": fingerprints(self.config),
            "changed": [{"key": each.key, **each.to_dict()} for each in self.changed],
        }

    def __str__(self) -> str:
        model = self.config.model
        title = (
            f"GPT-2 of {model.n_layer} layers, {model.n_embd} wide, {model.n_head} heads of {model.head_dim}; "
            f"{model.vocab_size:,} tokens, sequences of {self.config.training.seq_len:,}"
        )
        rows = [*self._parameters(), None, *self._memory(), None, *self._work(), None, *self._sizes()]
        left_out = (
            "GB are 10^9 bytes. Left out, for no configuration tells: "
            "the allocator's fragmentation, kernel workspaces, the CUDA context."
        )
        lines = [title, "", *_aligned(rows), "", left_out]
        warning = memory_warning(self.config)
        if warning:
            lines += ["", warning]
        told = [each for each in self.changed if not each.key.startswith(("hardware.", "dry_run"))]  # they stand above
        if told:
            width = max(len(str(each)) for each in told)
            lines += ["", "Not the default:", *(f"  {each!s:<{width}}  {each.source.set_it()}" for each in told)]
        return "\n".join(lines)

    def _parameters(self) -> Iterator[_Row]:
        counts = sizing.parameters(self.config.model)
        yield "parameters", f"{counts.total:,}", EXACT, ""
        for part, count in vars(counts).items():
            yield f"  {part.replace('_', ' ')}", f"{count:,}", EXACT, f"{count / counts.total:.1%}"

    def _memory(self) -> Iterator[_Row]:
        peak, device, training = self.memory.peak, self.device, self.config.training
        of = f"{'on' if device.memory is None else 'of'} {device}; the most is in use at the {peak.name}"
        yield "memory of a step", gigabytes(peak.total), PREDICTED, of
        notes = {
            "activations": f"{training.batch_size} x {training.seq_len:,} tokens, {training.precision}, "
            f"{self.memory.step.attention} attention" + ", checkpointing" * training.gradient_checkpointing,
            "optimizer": "AdamW's two means",
            "copies": "bf16 copies of weights",
        }
        for part in PARTS:
            if getattr(peak, part):
                yield f"  {part}", gigabytes(getattr(peak, part)), PREDICTED, notes.get(part, "")
        largest = largest_batch(self.config, device)
        if largest is not None:
            taken = gigabytes(peak_of_batch(self.config, device, largest)) if largest else ""
            note = f"training.batch_size={largest} takes {taken}" if largest else "none"
            yield "  largest batch that fits", f"{largest:,}", PREDICTED, note

    def _work(self) -> Iterator[_Row]:
        training, text = self.config.training, self.text
        passes = f" x {training.gradient_accumulation_steps} passes" if training.gradient_accumulation_steps > 1 else ""
        factors = f"{training.batch_size:,} sequences{passes} x {training.seq_len:,}"
        yield "steps", f"{training.max_steps:,}", EXACT, ""
        yield "tokens a step", f"{training.tokens_per_step:,}", EXACT, factors
        yield "tokens in all", f"{self.tokens:,}", EXACT, ""
        if text:
            count, exact = text
            yield (
                "  times the text",
                f"{self.tokens / count:,.2f}",
                EXACT if exact else PREDICTED,
                f"which has {count:,} tokens",
            )
        convention = "matrix products, multiply-add = 2, causal attention in full"
        yield "training FLOPs", f"{self.flops:.3e}", EXACT, convention
        yield self._time()

    def _time(self) -> _Row:
        device, precision = self.device, self.config.training.precision
        key = "fp32_tflops" if precision == "fp32" else "bf16_tflops"
        if self.seconds is None or device.flops is None:
            return "time", "unknown", PREDICTED, f"{device.name} has no hardware.{key}; try a device, as hardware=a100_80gb"
        note = f"at {device.utilization:.0%} of {device.flops / 1e12:g} TFLOP/s ({key.partition('_')[0]})"
        return "time", duration(self.seconds), PREDICTED, note

    def _sizes(self) -> Iterator[_Row]:
        model, seq_len = self.config.model, self.config.training.seq_len
        yield (
            "checkpoint",
            gigabytes(sizing.checkpoint_bytes(model, self.checkpoint_dtype)),
            EXACT,
            f"{self.checkpoint_dtype} weights",
        )
        yield "KV cache", gigabytes(self.kv_cache), EXACT, f"generating {seq_len:,} tokens in {KV_CACHE_DTYPE}"
        yield "fingerprint", self.config.fingerprint(), EXACT, "of all that decides the result"


_Row = tuple[str, str, str, str]


def _aligned(rows: Sequence[_Row | None]) -> Iterator[str]:
    full = [row for row in rows if row]
    label, value = (max(len(row[column]) for row in full) for column in (0, 1))
    for row in rows:
        yield f"{row[0]:<{label}}  {row[1]:>{value}}  {row[2]:<9}  {row[3]}".rstrip() if row else ""


def duration(seconds: float) -> str:
    """Seconds in the largest unit that people use."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.1f} s"


# ------------------------------------------------------------------------------------------------------ several points


def compare(rows: Sequence[tuple[str, TrainConfig]]) -> str:
    """A table of several points: ``(overrides, config)``."""
    table = [("", "overrides", "parameters", "memory", "fits", "tokens", "FLOPs", "time")]
    table.append(("", "", EXACT, PREDICTED, PREDICTED, EXACT, EXACT, PREDICTED))
    for number, (overrides, config) in enumerate(rows):
        label = " ".join(each for each in overrides.split(" ") if not each.startswith("dry_run="))
        plan = Plan(config)
        fits = {True: "yes", False: "no", None: "unknown"}[plan.fits]
        time = "unknown" if plan.seconds is None else duration(plan.seconds)
        counts = f"{sizing.parameters(config.model).total:,}", gigabytes(plan.memory.total), fits
        table.append((f"#{number}", label, *counts, f"{plan.tokens:,}", f"{plan.flops:.3e}", time))
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "\n".join(_table_row(row, widths) for row in table)


def _table_row(row: tuple[str, ...], widths: list[int]) -> str:
    number, label, *figures = row
    left = f"{number:<{widths[0]}}  {label:<{widths[1]}}"
    return "  ".join([left, *(f"{figure:>{width}}" for figure, width in zip(figures, widths[2:], strict=True))])
