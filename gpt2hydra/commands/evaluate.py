"""``gpt2hydra evaluate``: loss, perplexity and bits per byte of a model over a text."""

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
from gpt2hydra.config.run import VOCABULARIES, GenerateConfig, TokenizerConfig, TrainConfig
from gpt2hydra.launch.checks import Context, check_error, run_checks
from gpt2hydra.utils.paths import relative_path

if TYPE_CHECKING:
    from gpt2hydra.inference.evaluate import Evaluation

KEYS = ("checkpoint", "device", "data.path", "data.cache_dir")
LARGEST_BATCH = 10_000


DESCRIPTION = "Predict every token of a text once, each with context before it, and print loss, perplexity and bits per byte."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
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
    """Print loss, perplexity and bits per byte."""
    settings, text = _composed(options.overrides)
    folder = checkpoint.locate(settings.checkpoint)
    _refuse(run_checks(Context(settings, extra="train")))
    shape = from_hf(folder)
    context = shape.n_positions // 2 if options.context is None else options.context
    _refuse_unless(0 <= context < shape.n_positions, "--context", context, f"must be ≥ 0 and < {shape.n_positions:,}")
    _refuse_unless(0 < options.batch_size <= LARGEST_BATCH, "--batch-size", options.batch_size, "must be ≥ 1")
    large_enough = replace(text.model, vocab_size=max(shape.vocab_size, VOCABULARIES["gpt2"]))
    config = replace(text, model=large_enough, tokenizer=TokenizerConfig("gpt2", str(folder)))
    _refuse(run_checks(Context(config, unread=frozenset({"training"}))))
    from tqdm import tqdm  # type: ignore[import-untyped]  # of the extra train, as the four below

    from gpt2hydra.checkpoint import model_files
    from gpt2hydra.data.corpus_tokens import all_tokens
    from gpt2hydra.inference.device import device_for
    from gpt2hydra.inference.evaluate import evaluate

    model, tokenizer = model_files.load(settings.checkpoint, device_for(settings.device, "device"))
    tokens = all_tokens(config, shape.vocab_size)
    with tqdm(total=len(tokens) - 1, unit="token", unit_scale=True, disable=not sys.stderr.isatty(), leave=False) as bar:
        result = evaluate(model, tokenizer, tokens, context, options.batch_size, bar.update)
    facts = {"checkpoint": str(folder), "text": text.data.path, "window": shape.n_positions, "context": context}
    print(json.dumps(_as_dict(result, facts), indent=2) if options.json else _format(result, facts))


def _composed(overrides: list[str]) -> tuple[GenerateConfig, TrainConfig]:
    """The configuration of the checkpoint, and that of the text."""
    strange = [each for each in overrides if each.partition("=")[0] not in KEYS]
    if strange:
        key, _, value = strange[0].partition("=")
        raise ConfigError([Violation(key, value, f"unknown key; known: {', '.join(KEYS)}", command_line(strange[0]))])
    of_text = [each for each in overrides if each.startswith("data.")]
    if not any(each.startswith("data.path=") for each in of_text):
        raise ConfigError([Violation("data.path", rule="must be given: the text to predict")])
    return compose("generate", [each for each in overrides if each not in of_text]), compose("train", of_text)


def _refuse(violations: list[Violation]) -> None:
    if violations:
        raise check_error(violations)


def _refuse_unless(right: bool, option: str, value: int, rule: str) -> None:
    if not right:
        raise UsageError([Violation(option, value, rule)])


def _as_dict(result: Evaluation, facts: dict[str, Any]) -> dict[str, Any]:
    measured = {"loss": result.loss, "perplexity": result.perplexity, "bits_per_byte": result.bits_per_byte}
    return {**facts, "tokens": result.tokens, "bytes": result.bytes, **measured}


def _format(result: Evaluation, facts: dict[str, Any]) -> str:
    bits = "no text" if result.bits_per_byte is None else f"{result.bits_per_byte:.4f}"
    return "\n".join(
        [
            f"{relative_path(Path(facts['checkpoint']))} on {facts['text'] or 'the Python language reference'}\n",
            f"  loss           {result.loss:.4f}   nats per token",
            f"  perplexity     {result.perplexity:,.3f}",
            f"  bits per byte  {bits}",
            f"  predicted      {result.tokens:,} tokens, {result.bytes:,} bytes: each once, in windows of {facts['window']:,}",
            f"                 tokens, whose first {facts['context']:,} are context, but for the first window",
        ]
    )
