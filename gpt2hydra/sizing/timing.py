"""How long a training step takes on this machine, by the best of several short passes of this model.

One block, and embedding with output layer, are computed as PyTorch computes those of transformers' GPT-2; the
other blocks are alike. Imports PyTorch when it measures, and not transformers, which takes seconds more.
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

BUDGET = 1.0
"""Seconds in which all parts are computed in turn, in rounds. The first round is always completed."""

SHARE = 0.05
"""Seconds of a round in which one part is computed again and again. Once, if that takes longer."""

PATIENCE = 10.0
"""Seconds that a process measures in all. Further shapes take the FLOP/s of the last that was measured."""

TOKENS = 2048
"""Of a pass at most, unless one sequence has more. A larger batch takes as many times longer."""

BLOCK_OVERHEAD = 0.35e-3
"""Seconds of Python that transformers and Lightning take for each block, forward and backward; measured."""


Clock = Callable[[], float]


class Parts(NamedTuple):
    """Of a step, each as a function that computes it once."""

    block: Callable[[], None]
    """Forward and backward of one block, with its second forward pass under gradient checkpointing."""
    ends: Callable[[], None]
    """Forward and backward of the embedding, the last layer norm, the output layer and the loss."""
    update_block: Callable[[], None]
    """Clipping and AdamW."""
    update_ends: Callable[[], None]


class Seconds(NamedTuple):
    """Of the :class:`Parts`."""

    block: float
    ends: float
    update_block: float
    update_ends: float


def step_seconds(model: GPT2Config, training: TrainingConfig, sequences: int, batch: int, processes: int = 1) -> float | None:
    """Seconds of one optimizer step on this machine's processor; None where PyTorch is not installed.

    Args:
        sequences: that one process computes of a step, in passes of ``batch``.
        processes: that do so at once.
    """
    try:
        import torch  # takes seconds
    except (ImportError, OSError):  # OSError: one of its libraries does not load
        return None
    set_malloc_options(training)  # as a run does; without, a small model takes several times as long
    measured = min(batch, max(1, TOKENS // training.seq_len))
    waiting = max(1.0, processes * torch.get_num_threads() / (os.cpu_count() or 1))  # for processors that others use
    flops = sequences * training.seq_len * flops_of_shape(model, training.seq_len)
    seconds = _measurements.of(model, training, measured)
    if seconds is None:
        return flops / _measurements.rate
    found = waiting * extrapolate(seconds, model.n_layer, sequences / measured, -(-sequences // batch))
    _measurements.rate = flops / found
    return found


class _Measurements:
    """What this process has measured."""

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self.clock, self.spent, self.rate = clock, 0.0, 0.0
        self._found: dict[tuple[Any, ...], Seconds] = {}

    def of(self, model: GPT2Config, training: TrainingConfig, batch: int) -> Seconds | None:
        """The fastest calls of the parts; None of a new shape after ``PATIENCE``.

        Points of a sweep that differ in depth, seed or rate alone share one measurement.
        """
        settings = (training.seq_len, training.precision, training.gradient_checkpointing, training.max_grad_norm)
        block = tuple(value for name, value in vars(model).items() if name != "n_layer")
        key = (block, *settings, batch)
        if key not in self._found:
            if self.spent > PATIENCE:
                return None
            start = self.clock()
            self._found[key] = fastest(parts(model, training, batch))
            self.spent += self.clock() - start
        return self._found[key]


_measurements = _Measurements()


def extrapolate(measured: Seconds, layers: int, times: float, passes: int) -> float:
    """Seconds of a step that computes blocks and ends ``times`` as often as they were measured."""
    blocks = layers * (times * measured.block + passes * BLOCK_OVERHEAD)
    return blocks + times * measured.ends + layers * measured.update_block + measured.update_ends


def fastest(parts: Parts, clock: Clock = time.perf_counter) -> Seconds:
    """Seconds of the fastest call of each part. They take turns: what disturbs a processor often lasts a while."""
    began, best = clock(), [float("inf")] * len(parts)
    while clock() - began < BUDGET:
        for number, part in enumerate(parts):
            first = start = clock()
            while start - first < SHARE:
                part()
                best[number], start = min(best[number], (now := clock()) - start), now
    return Seconds(*best)


def parts(model: GPT2Config, training: TrainingConfig, batch: int) -> Parts:
    """The parts of a step of ``batch`` sequences."""
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
        }  # of no effect on time

        def update() -> None:
            if training.max_grad_norm:
                torch.nn.utils.clip_grad_norm_(trained, training.max_grad_norm)
            with torch.no_grad():
                adamw(trained, gradients, means, squares, [], steps, fused=True, amsgrad=False, maximize=False, **rates)

        return update

    return Parts(block, ends, updates(of_block), updates(of_ends))
