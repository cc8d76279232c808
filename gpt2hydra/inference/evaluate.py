"""How well a model predicts a text, from its first token to its last."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import GPT2LMHeadModel

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.data.batches import IGNORE_INDEX, Batch, complete_text_batches
from gpt2hydra.data.tokenizer import Tokenizer
from gpt2hydra.data.tokens import Tokens

MAX_LOGITS = 2**26
"""Logits that are computed at a time: 256 MB in fp32, for any sequence length and vocabulary."""


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation. Every token except the first is predicted once."""

    tokens: int
    """The number of predicted tokens, end-of-text included."""
    bytes: int
    """The number of bytes of their text."""
    nats: float
    """The sum of their losses."""

    @property
    def loss(self) -> float:
        """Nats per token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """``exp(loss)``; infinite if it is too large for a float."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    @property
    def bits_per_byte(self) -> float | None:
        """Bits for a byte of text, which can be compared between tokenizers. None if there is no text."""
        return self.nats / math.log(2) / self.bytes if self.bytes else None


@torch.inference_mode()
def evaluate(
    model: GPT2LMHeadModel,
    tokenizer: Tokenizer,
    tokens: Tokens,
    context: int,
    batch_size: int,
    progress: Callable[[int], object] = lambda count: None,
) -> Evaluation:
    """Predict each token of a text once, in windows of ``n_positions`` tokens.

    Args:
        context: minimum overlap of two windows, in tokens. These were predicted in the window before.
        progress: called after each batch with the number of tokens that it predicted.

    Raises:
        ConfigError: the text has fewer than two tokens, or the weights are damaged.
    """
    if len(tokens) < 2:
        raise ConfigError(
            [Violation("data.path", rule=f"has {len(tokens)} tokens; two are needed to predict one from another")]
        )
    sizes = np.array([len(tokenizer.bytes_of(token)) for token in range(tokenizer.size)], np.int64)  # (V,)
    nats, count, size = [], 0, 0
    for batch in complete_text_batches(tokens, model.config.n_positions, batch_size, context):
        nats.append(_sum_losses(model, batch))
        counted = batch.targets[batch.targets != IGNORE_INDEX].numpy()
        count, size = count + len(counted), size + int(sizes[counted].sum())
        progress(len(counted))
    result = Evaluation(count, size, math.fsum(nats))
    if not math.isfinite(result.nats):
        raise ConfigError([Violation("checkpoint", rule="computes NaN or infinity: its weights are damaged")])
    return result


def _sum_losses(model: GPT2LMHeadModel, batch: Batch) -> float:
    """Return the sum of the losses of all targets that count, in nats."""
    hidden = model.transformer(batch.inputs.to(model.device), use_cache=False).last_hidden_state  # (B, T, d)
    counts = batch.targets != IGNORE_INDEX
    hidden, targets = hidden[counts.to(model.device)], batch.targets[counts].to(model.device)  # (N, d), (N,)
    chunk = max(1, MAX_LOGITS // model.config.vocab_size)
    return math.fsum(
        cross_entropy(
            model.lm_head(hidden[first : first + chunk]).float(), targets[first : first + chunk], reduction="sum"
        ).item()
        for first in range(0, len(targets), chunk)
    )
