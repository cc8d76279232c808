"""Text from a trained model, token by token."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable, Iterator

import torch
from transformers import DynamicCache, GPT2LMHeadModel

from gpt2hydra.checkpoint import folder as checkpoint
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import GenerateConfig
from gpt2hydra.data.tokenizer import Tokenizer
from gpt2hydra.inference.device import pick


def generate(config: GenerateConfig) -> list[str]:
    """Print and return ``num_samples`` continuations, each with its prompt before it.

    Text goes to stdout as it is generated, ``---`` between two samples; notices go to stderr.

    Raises:
        ConfigError: the checkpoint, the prompt or the device will not do.
    """
    device = pick(config.device, "device")
    model, tokenizer = checkpoint.load(config.checkpoint, device)
    ends = checkpoint.end_of_text(checkpoint.locate(config.checkpoint), tokenizer)
    prompt = encode_prompt(config.prompt, tokenizer, model.config.vocab_size)
    _say_what_slides(len(prompt), config.max_new_tokens, model.config.n_positions)
    generator = torch.Generator().manual_seed(config.seed)
    samples = []
    for number in range(config.num_samples):
        show("\n---\n" if number else "")
        tokens = new_tokens(model, prompt, config, generator, ends)
        samples.append("".join(shown(stream(tokens, tokenizer, config.prompt))))
    show("\n")
    return samples


def shown(pieces: Iterator[str]) -> Iterator[str]:
    """The same pieces, each printed as it passes."""
    for piece in pieces:
        show(piece)
        yield piece


def show(text: str) -> None:
    """Print now, without a newline."""
    print(text, end="", flush=True)


def encode_prompt(prompt: str, tokenizer: Tokenizer, vocab_size: int) -> list[int]:
    """The tokens of a prompt; end-of-text for an empty one, as between two documents in training.

    Raises:
        ConfigError: the model does not know a token, or the prompt is not text.
    """
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise ConfigError([Violation("prompt", ascii(prompt), "must be text in UTF-8")]) from None
    tokens = tokenizer.encode(prompt)
    if not tokens:
        tokens = [tokenizer.end_of_text if tokenizer.end_of_text is not None else 0]
    unknown = [token for token in tokens if token >= vocab_size]
    if unknown:
        rule = (
            f"has token {unknown[0]:,}, but the model knows {vocab_size:,} only: "
            "the checkpoint's tokenizer belongs to another model"
        )
        raise ConfigError([Violation("prompt", prompt, rule)])
    return tokens


def _say_what_slides(prompt: int, new: int, n_positions: int) -> None:
    if prompt > n_positions:
        notice = f"the prompt has {prompt:,} tokens and the model's context {n_positions:,}: it sees the last {n_positions:,}"
    elif prompt + new - 1 > n_positions:
        notice = f"beyond {n_positions:,} tokens, the model's context, it sees the latest {kept(n_positions):,} or more"
    else:
        return
    print(f"note: {notice}", file=sys.stderr)


# ------------------------------------------------------------------------------------------------------------ tokens


def kept(n_positions: int) -> int:
    """Tokens that stay in sight when the context is full: three quarters.

    Positions are absolute, so whatever stays is computed again; dropping a quarter makes that rare.
    """
    return max(1, n_positions - max(1, n_positions // 4))


@torch.inference_mode()
def new_tokens(
    model: GPT2LMHeadModel,
    prompt: list[int],
    config: GenerateConfig,
    generator: torch.Generator,
    ends: frozenset[int] = frozenset(),
) -> Iterator[int]:
    """The tokens that follow ``prompt``: at most ``max_new_tokens``, and none from end-of-text on.

    The model sees the last ``n_positions`` tokens of a prompt, and later never fewer than :func:`kept` of all tokens.
    """
    n_positions = model.config.n_positions
    history, pending = [*prompt], prompt[-n_positions:]
    cache = DynamicCache(config=model.config)
    for _ in range(config.max_new_tokens):
        tokens = torch.tensor([pending], device=model.device)  # (1, T)
        output = model(tokens, cache, use_cache=True, logits_to_keep=1)  # by place: its name is new in transformers 5.24
        token = choose(output.logits[0, -1].float().cpu(), config, generator)
        if token in ends:
            return
        yield token
        history.append(token)
        pending = [token]
        if cache.get_seq_length() == n_positions:
            cache, pending = DynamicCache(config=model.config), history[-kept(n_positions) :]


def choose(logits: torch.Tensor, config: GenerateConfig, generator: torch.Generator) -> int:
    """One token from ``logits`` (V,), drawn on the CPU so that a seed means the same text on every device.

    Raises:
        ConfigError: a logit is NaN or infinite.
    """
    if not logits.isfinite().all():
        rule = "computes what is no number: its weights are damaged"
        raise ConfigError([Violation("checkpoint", config.checkpoint, rule)])
    if config.temperature == 0 or config.top_k == 1:
        return int(logits.argmax())
    logits = (logits - logits.max()) / config.temperature  # at most 0, however small the temperature
    if config.top_k is not None and config.top_k < len(logits):
        least = logits.topk(config.top_k).values[-1]
        logits = logits.masked_fill(logits < least, -torch.inf)
    probabilities = logits.softmax(0)
    if config.top_p is not None:
        ranked, order = probabilities.sort(descending=True)
        before = ranked.cumsum(0) - ranked  # probability of all that are likelier; 0 for the likeliest, which stays
        probabilities = probabilities.index_fill(0, order[before >= config.top_p], 0)
    return int(torch.multinomial(probabilities, 1, generator=generator))


def stream(tokens: Iterator[int], tokenizer: Tokenizer, prompt: str = "") -> Iterator[str]:
    """``prompt``, then the text of ``tokens`` as it comes; a character whose bytes are split waits until it is whole."""
    decode: Callable[..., str] = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
    yield prompt
    for token in tokens:
        if piece := decode(tokenizer.bytes_of(token)):
            yield piece
    if rest := decode(b"", final=True):
        yield rest
