"""Sampling from a model: the choice of the next token, the context, and the end of a sample."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import (
    DynamicCache,
    GPT2LMHeadModel,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import GenerateConfig
from gpt2hydra.data.tokenizer import Tokenizer


class Sample:
    """One continuation of a prompt, while it is generated."""

    def __init__(
        self,
        prompt: Sequence[int],
        config: GenerateConfig,
        tokenizer: Tokenizer,
        ends: frozenset[int] = frozenset(),
        number: int = 0,
    ) -> None:
        """Begin after a prompt.

        Args:
            prompt: its tokens.
            ends: tokens that end a sample, such as end-of-text.
            number: index among several samples; the seed is ``config.seed + number``.
        """
        self.history = [*prompt]
        self.seed = config.seed + number
        self.generator = torch.Generator().manual_seed(self.seed)
        self.text = ""
        self.tokens = 0
        self.finish = ""
        """Why it ended: ``length``, ``end_of_text`` or ``stop``; empty until then."""
        self.on_text: Callable[[str], object] = lambda piece: None
        """Called with each piece of text as soon as it is final."""
        self._config, self._tokenizer, self._ends = config, tokenizer, ends
        self._stops = [stop for stop in (config.stop or "").split("|") if stop]
        self._decode: Callable[..., str] = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._pending = ""

    def draw_next(self, logits: torch.Tensor) -> None:
        """Draw the next token from its ``logits`` (V,), and add it to the sample."""
        token = draw_token(logits, self._config, self.generator, self.history)
        if token in self._ends:
            self._finish("end_of_text")
            return
        self.history.append(token)
        self.tokens += 1
        self._add_text(self._decode(self._tokenizer.bytes_of(token)))
        if not self.finish and self.tokens == self._config.max_new_tokens:
            self._finish("length")

    def _add_text(self, piece: str) -> None:
        """Emit the text that is final: without its end, if that may become a stop text."""
        self._pending += piece
        found = [at for stop in self._stops if (at := self._pending.find(stop)) >= 0]
        if found:
            self._pending = self._pending[: min(found)]
            self._decode = codecs.getincrementaldecoder("utf-8")().decode  # undecoded bytes come after the stop text
            self._finish("stop")
            return
        held = max((_overlap(self._pending, stop) for stop in self._stops), default=0)
        self._emit_text(len(self._pending) - held)

    def _emit_text(self, count: int) -> None:
        certain, self._pending = self._pending[:count], self._pending[count:]
        if certain:
            self.text += certain
            self.on_text(certain)

    def _finish(self, why: str) -> None:
        self.finish = why
        self._pending += self._decode(b"", final=True)
        self._emit_text(len(self._pending))


def _overlap(text: str, stop: str) -> int:
    """The number of characters at the end of ``text`` that are the beginning of ``stop``."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)


@torch.inference_mode()
def generate_batch(model: GPT2LMHeadModel, samples: Sequence[Sample]) -> None:
    """Generate samples of one prompt to their ends, in one batch.

    The context is the last ``n_positions`` tokens. Once it is full, it is cut to the last
    :func:`context_after_truncation`. A sample does not depend on the others, except for rounding in matrix
    products of another size.
    """
    n_positions = model.config.n_positions
    unfinished = [sample for sample in samples if not sample.finish]
    pending, cache = n_positions, DynamicCache(config=model.config)
    while unfinished:
        tokens = torch.tensor([sample.history[-pending:] for sample in unfinished], device=model.device)  # (B, T)
        output = model(tokens, cache, use_cache=True, logits_to_keep=1)  # positional: transformers 5.24 renamed it
        for sample, logits in zip(unfinished, output.logits[:, -1].float().cpu(), strict=True):  # (V,) each
            sample.draw_next(logits)
        continuing = [row for row, sample in enumerate(unfinished) if not sample.finish]
        if cache.get_seq_length() == n_positions:
            pending, cache = context_after_truncation(n_positions), DynamicCache(config=model.config)
        else:
            pending = 1
            if 0 < len(continuing) < len(unfinished):
                cache.batch_select_indices(torch.tensor(continuing, device=model.device))
        unfinished = [unfinished[row] for row in continuing]


def context_after_truncation(n_positions: int) -> int:
    """The number of tokens of a full context that are kept: three quarters.

    Positions are absolute, so the kept tokens are computed again. Dropping a quarter makes that rare.
    """
    return max(1, n_positions - max(1, n_positions // 4))


def draw_token(logits: torch.Tensor, config: GenerateConfig, generator: torch.Generator, seen: Sequence[int] = ()) -> int:
    """Draw a token from ``logits`` (V,), on the CPU, so that a seed gives the same text on every device.

    Args:
        seen: the tokens so far, for ``repetition_penalty``.

    Raises:
        ConfigError: a logit is NaN or infinite.
    """
    if not logits.isfinite().all():
        rule = "computes NaN or infinity: its weights are damaged"
        raise ConfigError([Violation("checkpoint", config.checkpoint, rule)])
    scores = logits[None]  # (1, V)
    if config.repetition_penalty != 1:
        scores = RepetitionPenaltyLogitsProcessor(config.repetition_penalty)(torch.tensor([seen], dtype=torch.long), scores)
    if config.temperature == 0 or config.top_k == 1:
        return int(scores.argmax())
    scores = (scores - scores.max()) / config.temperature  # at most 0, however small the temperature
    for name, warper in WARPERS.items():
        value = getattr(config, name)
        if value is not None:
            scores = warper(value)(None, scores)
    return int(torch.multinomial(scores[0].softmax(0), 1, generator=generator))


WARPERS: dict[str, Any] = {"top_k": TopKLogitsWarper, "top_p": TopPLogitsWarper, "min_p": MinPLogitsWarper}
"""Setting → the class of transformers that applies it, in the order in which they narrow the choice."""
