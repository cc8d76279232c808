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
from gpt2hydra.data.batches import NOT_COUNTED, Batch, complete_text
from gpt2hydra.data.tokenizer import Tokenizer
from gpt2hydra.data.tokens import Tokens

LOGITS = 2**26
"""Numbers of one product with the vocabulary: 256 MB in fp32, however large that is."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured. Every token but the first is predicted once."""

    tokens: int
    """Predicted, end-of-text included."""
    bytes: int
    """Of text that they stand for."""
    nats: float
    """The sum of their losses."""

    @property
    def loss(self) -> float:
        """Nats per token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """``exp(loss)``; infinite where no float is large enough."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    @property
    def bits_per_byte(self) -> float | None:
        """What the text would take, compressed by the model, whatever the tokenizer. None without text."""
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
    """Predict each token of a text once, in windows of the model's own length.

    Args:
        context: each window but the first begins with at least so many tokens that were predicted already.
        progress: called with how many more tokens are done.

    Raises:
        ConfigError: the text has less than two tokens, or the weights are damaged.
    """
    if len(tokens) < 2:
        raise ConfigError(
            [Violation("data.path", rule=f"has {len(tokens)} tokens; two are needed to predict one from another")]
        )
    sizes = np.array([len(tokenizer.bytes_of(token)) for token in range(tokenizer.size)], np.int64)  # (V,)
    nats, count, size = [], 0, 0
    for batch in complete_text(tokens, model.config.n_positions, batch_size, context):
        nats.append(_nats(model, batch))
        counted = batch.targets[batch.targets != NOT_COUNTED].numpy()
        count, size = count + len(counted), size + int(sizes[counted].sum())
        progress(len(counted))
    result = Evaluation(count, size, math.fsum(nats))
    if not math.isfinite(result.nats):
        raise ConfigError([Violation("checkpoint", rule="computes NaN or infinity: its weights are damaged")])
    return result


def _nats(model: GPT2LMHeadModel, batch: Batch) -> float:
    """The sum of the losses of all targets that count."""
    hidden = model.transformer(batch.inputs.to(model.device), use_cache=False).last_hidden_state  # (B, T, d)
    counts = batch.targets != NOT_COUNTED
    hidden, targets = hidden[counts.to(model.device)], batch.targets[counts].to(model.device)  # (N, d), (N,)
    at_once = max(1, LOGITS // model.config.vocab_size)
    return math.fsum(
        cross_entropy(
            model.lm_head(hidden[first : first + at_once]).float(), targets[first : first + at_once], reduction="sum"
        ).item()
        for first in range(0, len(targets), at_once)
    )
