"""How text is drawn from a model: which token comes next, what the model sees, where a sample ends."""

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
    """One continuation of a prompt, as it is generated."""

    def __init__(
        self,
        prompt: Sequence[int],
        config: GenerateConfig,
        tokenizer: Tokenizer,
        ends: frozenset[int] = frozenset(),
        number: int = 0,
    ) -> None:
        """Args:
        prompt: its tokens.
        ends: tokens that end a text.
        number: of several samples; each draws by a seed of its own, ``config.seed + number``.
        """
        self.history = [*prompt]
        self.seed = config.seed + number
        self.generator = torch.Generator().manual_seed(self.seed)
        self.text = ""
        self.tokens = 0
        self.finish = ""
        """Why it ended: ``length``, ``end_of_text`` or ``stop``; empty until then."""
        self.show: Callable[[str], object] = lambda piece: None
        """Called with each piece of text once it is certain."""
        self._config, self._tokenizer, self._ends = config, tokenizer, ends
        self._stops = [stop for stop in (config.stop or "").split("|") if stop]
        self._decode: Callable[..., str] = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._waiting = ""

    def draw(self, logits: torch.Tensor) -> None:
        """Take the next token by its ``logits`` (V,)."""
        token = draw_token(logits, self._config, self.generator, self.history)
        if token in self._ends:
            self._end("end_of_text")
            return
        self.history.append(token)
        self.tokens += 1
        self._add(self._decode(self._tokenizer.bytes_of(token)))
        if not self.finish and self.tokens == self._config.max_new_tokens:
            self._end("length")

    def _add(self, piece: str) -> None:
        """Show what is certain: a character whose bytes are split waits, and what may become a stop text."""
        self._waiting += piece
        found = [at for stop in self._stops if (at := self._waiting.find(stop)) >= 0]
        if found:
            self._waiting = self._waiting[: min(found)]
            self._decode = codecs.getincrementaldecoder("utf-8")().decode  # what waits there stands behind the stop
            self._end("stop")
            return
        held = max((_overlap(self._waiting, stop) for stop in self._stops), default=0)
        self._emit(len(self._waiting) - held)

    def _emit(self, count: int) -> None:
        certain, self._waiting = self._waiting[:count], self._waiting[count:]
        if certain:
            self.text += certain
            self.show(certain)

    def _end(self, why: str) -> None:
        self.finish = why
        self._waiting += self._decode(b"", final=True)
        self._emit(len(self._waiting))


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of ``text`` are the beginning of ``stop``."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)


@torch.inference_mode()
def generate_batch(model: GPT2LMHeadModel, samples: Sequence[Sample]) -> None:
    """Generate samples of one prompt to their ends, all in one batch.

    The context is the last ``n_positions`` tokens. Once it is full, it is cut to the last
    :func:`context_after_truncation`. A sample does not depend on the others, except for rounding in matrix
    products of another size.
    """
    n_positions = model.config.n_positions
    unfinished = [sample for sample in samples if not sample.finish]
    pending, cache = n_positions, DynamicCache(config=model.config)
    while unfinished:
        tokens = torch.tensor([sample.history[-pending:] for sample in unfinished], device=model.device)  # (B, T)
        output = model(tokens, cache, use_cache=True, logits_to_keep=1)  # by place: its name is new in transformers 5.24
        for sample, logits in zip(unfinished, output.logits[:, -1].float().cpu(), strict=True):  # (V,) each
            sample.draw(logits)
        continuing = [row for row, sample in enumerate(unfinished) if not sample.finish]
        if cache.get_seq_length() == n_positions:
            pending, cache = context_after_truncation(n_positions), DynamicCache(config=model.config)
        else:
            pending = 1
            if 0 < len(continuing) < len(unfinished):
                cache.batch_select_indices(torch.tensor(continuing, device=model.device))
        unfinished = [unfinished[row] for row in continuing]


def context_after_truncation(n_positions: int) -> int:
    """Tokens of a full context that are kept: three quarters.

    Positions are absolute, so the kept tokens are computed again. To drop a quarter at once makes that rare.
    """
    return max(1, n_positions - max(1, n_positions // 4))


def draw_token(logits: torch.Tensor, config: GenerateConfig, generator: torch.Generator, seen: Sequence[int] = ()) -> int:
    """One token from ``logits`` (V,), drawn on the CPU so that a seed means the same text on every device.

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
"""Setting → what of transformers takes its value, in the order in which they narrow the choice."""
