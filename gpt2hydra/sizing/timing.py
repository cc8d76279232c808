"""Measure how long a training step takes on this machine, from the fastest of several runs of parts of it.

One block, and embedding with output layer, are computed as in transformers' GPT-2; the other blocks take the
same time. Imports PyTorch to measure, but not transformers, because that takes seconds more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.sizing.counts import flops_of_shape
from gpt2hydra.sizing.malloc import set_malloc_options

ROUNDS_SECONDS = 1.0
"""Rounds of all parts are timed until this time is over. The first round is always completed."""

PART_SECONDS = 0.05
"""In a round, each part is repeated until this time is over, at least once."""

MAX_MEASURING_SECONDS = 10.0
"""After this time a process stops measuring, because a sweep may have many shapes. The other shapes get the
FLOP/s of the last one measured."""

MAX_TOKENS = 2048
"""Most tokens of a measured batch, unless one sequence has more. The time is scaled for a larger batch."""

BLOCK_OVERHEAD_SECONDS = 0.35e-3
"""Measured Python time of transformers and Lightning for a block of a micro-batch, forward and backward."""


Clock = Callable[[], float]


class TimedParts(NamedTuple):
    """The parts of a step; each function computes one of them once."""

    block: Callable[[], None]
    """Forward and backward pass of one block; with gradient checkpointing, two forward passes."""
    ends: Callable[[], None]
    """Forward and backward pass of embedding, last layer norm, output layer and loss."""
    update_block: Callable[[], None]
    """Gradient clipping and AdamW for the weights of one block."""
    update_ends: Callable[[], None]


class Seconds(NamedTuple):
    """Seconds of each of the :class:`TimedParts`."""

    block: float
    ends: float
    update_block: float
    update_ends: float


def step_seconds(model: GPT2Config, training: TrainingConfig, sequences: int, batch: int, processes: int = 1) -> float | None:
    """Return the seconds of one optimizer step on this machine's processor; None if PyTorch is not installed.

    Args:
        sequences: per process and step, in micro-batches of ``batch``.
        processes: number of processes of the run on this machine.
    """
    try:
        import torch  # takes seconds
    except (ImportError, OSError):  # OSError: one of its libraries does not load
        return None
    set_malloc_options(training)  # as in a run: without it, a small model takes several times as long
    measured = min(batch, max(1, MAX_TOKENS // training.seq_len))
    slowdown = max(1.0, processes * torch.get_num_threads() / (os.cpu_count() or 1))  # factor for cores that are shared
    flops = sequences * training.seq_len * flops_of_shape(model, training.seq_len)
    seconds = _measurements.of(model, training, measured)
    if seconds is None:
        return flops / _measurements.rate
    found = slowdown * extrapolate(seconds, model.n_layer, sequences / measured, -(-sequences // batch))
    _measurements.rate = flops / found
    return found


class _Measurements:
    """The measurements of this process."""

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self.clock, self.spent, self.rate = clock, 0.0, 0.0
        self._found: dict[tuple[Any, ...], Seconds] = {}

    def of(self, model: GPT2Config, training: TrainingConfig, batch: int) -> Seconds | None:
        """Return the seconds of the parts; None for a new shape after ``MAX_MEASURING_SECONDS`` seconds.

        Points of a sweep that differ only in depth, seed or learning rate share one measurement.
        """
        settings = (training.seq_len, training.precision, training.gradient_checkpointing, training.max_grad_norm)
        block = tuple(value for name, value in vars(model).items() if name != "n_layer")
        key = (block, *settings, batch)
        if key not in self._found:
            if self.spent > MAX_MEASURING_SECONDS:
                return None
            start = self.clock()
            self._found[key] = time_parts(make_parts(model, training, batch))
            self.spent += self.clock() - start
        return self._found[key]


_measurements = _Measurements()


def extrapolate(measured: Seconds, layers: int, times: float, micro_batches: int) -> float:
    """Return the seconds of a step with ``times`` times the measured sequences, in ``micro_batches``."""
    blocks = layers * (times * measured.block + micro_batches * BLOCK_OVERHEAD_SECONDS)
    return blocks + times * measured.ends + layers * measured.update_block + measured.update_ends


def time_parts(parts: TimedParts, clock: Clock = time.perf_counter) -> Seconds:
    """Return the seconds of the fastest call of each part.

    Parts alternate, so a disturbance affects all of them.
    """
    began, best = clock(), [float("inf")] * len(parts)
    while clock() - began < ROUNDS_SECONDS:
        for number, part in enumerate(parts):
            first = start = clock()
            while start - first < PART_SECONDS:
                part()
                best[number], start = min(best[number], (now := clock()) - start), now
    return Seconds(*best)


def make_parts(model: GPT2Config, training: TrainingConfig, batch: int) -> TimedParts:
    """Make the functions that compute the parts of a step of ``batch`` sequences."""
    import torch  # takes seconds
    from torch.nn import functional as F
    from torch.optim.adamw import adamw  # the function: the class imports torch._dynamo, which takes two seconds

    width, inner, heads, epsilon = model.n_embd, model.n_inner, model.n_head, model.layer_norm_epsilon
    shape = (batch, training.seq_len, width)
    dtype = getattr(torch, training.weights_dtype)

    def parameters(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
        return [torch.full(each, 0.01, dtype=dtype, requires_grad=True) for each in shapes]

    of_block = parameters(
        *((width,), (width,), (3 * width, width), (3 * width,), (width, width), (width,)),
        *((width,), (width,), (inner, width), (inner,), (width, inner), (width,)),
    )
    of_ends = parameters((model.vocab_size, width), (model.n_positions, width), (width,), (width,))
    tokens = torch.zeros(shape[:2], dtype=torch.long)
    hidden = torch.randn(shape, dtype=dtype, requires_grad=True)

    def autocast() -> Any:
        return torch.autocast("cpu", torch.bfloat16, enabled=training.precision == "bf16")

    def forward_block() -> torch.Tensor:
        norm1, bias1, qkv, qkv_bias, out, out_bias, norm2, bias2, up, up_bias, down, down_bias = of_block
        with autocast():
            mixed = F.linear(F.layer_norm(hidden, (width,), norm1, bias1, epsilon), qkv, qkv_bias)
            query, key, value = (each.view(*shape[:2], heads, -1).transpose(1, 2) for each in mixed.chunk(3, dim=2))
            attended = F.scaled_dot_product_attention(query, key, value, dropout_p=model.attn_pdrop, is_causal=True)
            attended = F.linear(attended.transpose(1, 2).reshape(shape), out, out_bias)
            residual = hidden + F.dropout(attended, model.resid_pdrop)
            inside = F.linear(F.layer_norm(residual, (width,), norm2, bias2, epsilon), up, up_bias)
            activated = F.gelu(inside, approximate="tanh")
            return residual + F.dropout(F.linear(activated, down, down_bias), model.resid_pdrop)

    def block() -> None:
        if training.gradient_checkpointing:
            with torch.no_grad():
                forward_block()
        result = forward_block()
        torch.autograd.backward(result, torch.ones_like(result))

    def ends() -> None:
        embedding, positions, norm, bias = of_ends
        with autocast():
            embedded = F.dropout(F.embedding(tokens, embedding) + positions[: training.seq_len], model.embd_pdrop)
            logits = F.linear(F.layer_norm(embedded, (width,), norm, bias, epsilon), embedding)
        torch.autograd.backward(F.cross_entropy(logits.flatten(0, 1).float(), tokens.flatten()))

    def updates(trained: list[torch.Tensor]) -> Callable[[], None]:
        gradients, means, squares = ([torch.zeros_like(each) for each in trained] for _ in range(3))
        steps = [torch.tensor(0.0) for _ in trained]
        for each, gradient in zip(trained, gradients, strict=True):
            each.grad = gradient
        rates: dict[str, Any] = {
            "lr": 1e-3,
            "beta1": 0.9,
            "beta2": 0.95,
            "eps": 1e-8,
            "weight_decay": 0.1,
        }  # do not affect the time

        def update() -> None:
            if training.max_grad_norm:
                torch.nn.utils.clip_grad_norm_(trained, training.max_grad_norm)
            with torch.no_grad():
                adamw(trained, gradients, means, squares, [], steps, fused=True, amsgrad=False, maximize=False, **rates)

        return update

    return TimedParts(block, ends, updates(of_block), updates(of_ends))
