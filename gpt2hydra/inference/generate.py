"""Generate text from a trained model: ``python generate.py``."""

from __future__ import annotations

import json

from gpt2hydra import sizing
from gpt2hydra.checkpoint import folder as checkpoint
from gpt2hydra.checkpoint import model_files
from gpt2hydra.checkpoint.huggingface import from_hf
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.run import GenerateConfig
from gpt2hydra.data.tokenizer import Tokenizer
from gpt2hydra.inference.device import select_device
from gpt2hydra.inference.prompts import read_prompts
from gpt2hydra.inference.sampling import Sample, generate_batch
from gpt2hydra.utils.verbosity import print_note

MAX_CACHE_BYTES = 2 * 10**9
"""Bytes of keys and values in one batch; more samples are generated in several batches."""


def generate(config: GenerateConfig) -> list[str]:
    """Print and return ``num_samples`` continuations of each prompt, each with its prompt before it.

    Text goes to stdout, with ``---`` between two samples. The first sample of each batch is streamed. With
    ``format=json`` each sample is an object on its own line. Notes go to stderr.

    Raises:
        ConfigError: the checkpoint, a prompt or the device cannot be used.
    """
    texts = read_prompts(config)
    model, tokenizer = model_files.load_model(config.checkpoint, select_device(config.device, "device"))
    folder = checkpoint.find_checkpoint(config.checkpoint)
    if chosen := checkpoint.describe_choice(config.checkpoint):
        print_note(f"note: {chosen}")
    shape, ends = from_hf(folder), checkpoint.end_of_text_tokens(folder, tokenizer)
    encoded = [encode_prompt(text, tokenizer, shape.vocab_size) for text in texts]
    _note_truncation(max(map(len, encoded)), config.max_new_tokens, shape.n_positions)
    batch_size = _batch_size(shape, config)
    as_text = config.format == "text"
    printed: list[str] = []
    for text, prompt in zip(texts, encoded, strict=True):
        for first in range(0, config.num_samples, batch_size):
            numbers = range(first, min(first + batch_size, config.num_samples))
            samples = [Sample(prompt, config, tokenizer, ends, number) for number in numbers]
            if as_text:
                print_text(f"\n---\n{text}" if printed else text)
                samples[0].on_text = print_text
            generate_batch(model, samples)
            for number, sample in zip(numbers, samples, strict=True):
                if not as_text:
                    print_text(_format_json(text, number, sample))
                elif number != first:
                    print_text(f"\n---\n{text}{sample.text}")
                printed.append(text + sample.text)
    if as_text:
        print_text("\n")
    return printed


def _format_json(prompt: str, number: int, sample: Sample) -> str:
    about = {"prompt": prompt, "sample": number, "seed": sample.seed, "text": sample.text}
    return json.dumps({**about, "tokens": sample.tokens, "finish": sample.finish}, ensure_ascii=False) + "\n"


def _batch_size(shape: GPT2Config, config: GenerateConfig) -> int:
    return min(config.num_samples, max(1, MAX_CACHE_BYTES // sizing.kv_cache_bytes(shape, 1, shape.n_positions, "float32")))


def print_text(text: str) -> None:
    """Print text immediately, without a newline."""
    print(text, end="", flush=True)


def encode_prompt(prompt: str, tokenizer: Tokenizer, vocab_size: int) -> list[int]:
    """Return the tokens of a prompt; end-of-text for an empty one, as between two documents in training.

    Raises:
        ConfigError: a token is not in the model's vocabulary, or the prompt is not valid text.
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


def _note_truncation(prompt: int, new: int, n_positions: int) -> None:
    if prompt > n_positions:
        notice = f"the prompt has {prompt:,} tokens, and the context is {n_positions:,}; older text is dropped."
    elif prompt + new - 1 > n_positions:
        notice = f"the context is {n_positions:,} tokens; older text is dropped."
    else:
        return
    print_note(f"note: {notice}")
