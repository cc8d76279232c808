"""``gpt2hydra evaluate``: compute loss, perplexity and bits per byte of a model on a text."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpt2hydra.checkpoint import folder as checkpoint
from gpt2hydra.checkpoint.huggingface import from_hf
from gpt2hydra.composition.compose import compose
from gpt2hydra.config.errors import ConfigError, UsageError, Violation, command_line
from gpt2hydra.config.run import VOCABULARY_SIZES, GenerateConfig, TokenizerConfig, TrainConfig
from gpt2hydra.launch.checks import Context, error_from_checks, run_checks
from gpt2hydra.utils.paths import relative_path

if TYPE_CHECKING:
    from gpt2hydra.inference.evaluate import Evaluation

ALLOWED_KEYS = ("checkpoint", "device", "data.path", "data.cache_dir")
MAX_BATCH_SIZE = 10_000


DESCRIPTION = "Predict every token of a text once, each with context before it, and print loss, perplexity and bits per byte."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("overrides", nargs="+", metavar="KEY=VALUE", help="checkpoint=RUN data.path=FILE [device=cpu]")
    parser.add_argument(
        "--context",
        type=int,
        metavar="N",
        help="tokens of context that each window repeats from the one before (default: half a window)",
    )
    parser.add_argument("--batch-size", type=int, default=4, metavar="N", help="windows in a batch (default: 4)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Evaluate the model and print the result."""
    settings, text = _compose_model_and_text(options.overrides)
    folder = checkpoint.find_checkpoint(settings.checkpoint)
    _raise_if_any(run_checks(Context(settings, extra="train")))
    shape = from_hf(folder)
    context = shape.n_positions // 2 if options.context is None else options.context
    _require(0 <= context < shape.n_positions, "--context", context, f"must be ≥ 0 and < {shape.n_positions:,}")
    _require(
        0 < options.batch_size <= MAX_BATCH_SIZE, "--batch-size", options.batch_size, f"must be ≥ 1 and ≤ {MAX_BATCH_SIZE:,}"
    )
    large_enough = replace(text.model, vocab_size=max(shape.vocab_size, VOCABULARY_SIZES["gpt2"]))
    config = replace(text, model=large_enough, tokenizer=TokenizerConfig("gpt2", str(folder)))
    _raise_if_any(run_checks(Context(config, replaced_keys=frozenset({"training"}))))
    from tqdm import tqdm  # type: ignore[import-untyped]  # in the extra train, as the four below

    from gpt2hydra.checkpoint import model_files
    from gpt2hydra.data.corpus_tokens import load_all_tokens
    from gpt2hydra.inference.device import select_device
    from gpt2hydra.inference.evaluate import evaluate

    model, tokenizer = model_files.load_model(settings.checkpoint, select_device(settings.device, "device"))
    tokens = load_all_tokens(config, shape.vocab_size)
    with tqdm(total=len(tokens) - 1, unit="token", unit_scale=True, disable=not sys.stderr.isatty(), leave=False) as bar:
        result = evaluate(model, tokenizer, tokens, context, options.batch_size, bar.update)
    inputs = {"checkpoint": str(folder), "text": text.data.path, "window": shape.n_positions, "context": context}
    print(json.dumps(_as_dict(result, inputs), indent=2) if options.json else _format(result, inputs))


def _compose_model_and_text(overrides: list[str]) -> tuple[GenerateConfig, TrainConfig]:
    """Compose the configuration of the checkpoint, and that of the text."""
    unknown = [each for each in overrides if each.partition("=")[0] not in ALLOWED_KEYS]
    if unknown:
        key, _, value = unknown[0].partition("=")
        raise ConfigError([Violation(key, value, f"unknown key; known: {', '.join(ALLOWED_KEYS)}", command_line(unknown[0]))])
    text_overrides = [each for each in overrides if each.startswith("data.")]
    if not any(each.startswith("data.path=") for each in text_overrides):
        raise ConfigError([Violation("data.path", rule="must be given: the text to predict")])
    return compose("generate", [each for each in overrides if each not in text_overrides]), compose("train", text_overrides)


def _raise_if_any(violations: list[Violation]) -> None:
    if violations:
        raise error_from_checks(violations)


def _require(is_valid: bool, option: str, value: int, rule: str) -> None:
    if not is_valid:
        raise UsageError([Violation(option, value, rule)])


def _as_dict(result: Evaluation, inputs: dict[str, Any]) -> dict[str, Any]:
    measured = {"loss": result.loss, "perplexity": result.perplexity, "bits_per_byte": result.bits_per_byte}
    return {**inputs, "tokens": result.tokens, "bytes": result.bytes, **measured}


def _format(result: Evaluation, inputs: dict[str, Any]) -> str:
    bits = "no text" if result.bits_per_byte is None else f"{result.bits_per_byte:.4f}"
    return "\n".join(
        [
            f"{relative_path(Path(inputs['checkpoint']))} on {inputs['text'] or 'the Python language reference'}\n",
            f"  loss           {result.loss:.4f}   nats per token",
            f"  perplexity     {result.perplexity:,.3f}",
            f"  bits per byte  {bits}",
            f"  predicted      {result.tokens:,} tokens, {result.bytes:,} bytes, each once, in windows of {inputs['window']:,}",
            f"                 tokens; the first {inputs['context']:,} are context, except in the first window",
        ]
    )
