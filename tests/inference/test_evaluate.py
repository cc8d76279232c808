"""A text predicted from its first token to its last."""

import math

import pytest

pytest.importorskip("torch")

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.data.tokenizer import bytes_tokenizer
from gpt2hydra.data.tokens import Tokens
from gpt2hydra.inference import evaluate as module
from gpt2hydra.inference.evaluate import Evaluation, evaluate
from tests.models import tiny_model

TEXT = [256, *b"It was a dark and stormy night; the rain fell.", 256, *b"Oh."]
BYTES = bytes_tokenizer()


def evaluated(tokens: list[int], context: int = 8, batch_size: int = 2) -> Evaluation:
    return evaluate(tiny_model(), BYTES, Tokens.of(np.array(tokens, np.uint16)), context, batch_size)


def by_hand(tokens: list[int], context: int) -> float:
    """Each token after as many of those before it as its window shows."""
    nats, start, seen, length = 0.0, 0, 0, min(16, len(tokens) - 1)
    model = tiny_model()
    while seen < len(tokens) - 1:
        start = min(start, len(tokens) - 1 - length)
        window, targets = tokens[start : start + length], tokens[start + 1 : start + length + 1]
        with torch.no_grad():
            logits = model(torch.tensor([window])).logits[0].float()
        new = slice(seen - start, length)
        nats += cross_entropy(logits[new], torch.tensor(targets[new]), reduction="sum").item()
        seen, start = start + length, start + length - context
    return nats


@pytest.mark.parametrize("context", [0, 5, 8, 15])
def test_every_token_is_predicted_once(context: int) -> None:
    found = evaluated(TEXT, context)
    assert (found.tokens, found.bytes) == (len(TEXT) - 1, len(TEXT) - 2)
    assert found.nats == pytest.approx(by_hand(TEXT, context), rel=1e-5)


def test_the_batch_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = evaluated(TEXT, batch_size=1).nats
    monkeypatch.setattr(module, "MAX_LOGITS", 257 * 3)
    assert evaluated(TEXT, batch_size=50).nats == pytest.approx(expected, rel=1e-5)


def test_a_text_shorter_than_a_window_is_one() -> None:
    assert evaluated([1, 2, 3]).nats == pytest.approx(by_hand([1, 2, 3], 8), rel=1e-5)


@pytest.mark.parametrize("tokens", [[], [5]])
def test_nothing_can_be_predicted_from_nothing(tokens: list[int]) -> None:
    with pytest.raises(ConfigError, match=f"has {len(tokens)} tokens; two are needed"):
        evaluated(tokens)


def test_damaged_weights_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.transformer.ln_f.weight.fill_(math.nan)
    with pytest.raises(ConfigError, match="computes NaN or infinity"):
        evaluate(model, BYTES, Tokens.of(np.array(TEXT, np.uint16)), 8, 2)


def test_loss_perplexity_and_bits() -> None:
    found = Evaluation(tokens=4, bytes=8, nats=8 * math.log(2))
    assert (found.loss, found.perplexity, found.bits_per_byte) == pytest.approx((2 * math.log(2), 4, 1))
    assert Evaluation(1, 0, 1.0).bits_per_byte is None
    assert Evaluation(1, 1, 1e9).perplexity == math.inf
