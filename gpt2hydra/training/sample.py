"""A sample of the model in training."""

from __future__ import annotations

from pathlib import Path

from transformers import GPT2LMHeadModel

from gpt2hydra.checkpoint import folder as checkpoint
from gpt2hydra.config.run import GenerateConfig, TrainConfig
from gpt2hydra.data.text import sizes
from gpt2hydra.data.tokenizer import Tokenizer
from gpt2hydra.inference.sampling import Sample, generate_batch


def sample(config: TrainConfig, tokenizer: Tokenizer, folder: Path, model: GPT2LMHeadModel | None) -> Sample:
    """``sample_tokens`` tokens as between two documents, or where there is one only, as on a new line.

    Args:
        folder: the checkpoint of the model.
        model: itself, if it is whole in this process; it trains again afterwards.
    """
    end, alone = tokenizer.end_of_text, config.data.path is not None and len(sizes(config.data.path)) == 1
    start = tokenizer.encode("\n") if alone or end is None else [end]
    speaker = model or checkpoint.load(str(folder))[0]
    speaker.train(False)
    training = config.training
    settings = GenerateConfig(checkpoint=str(folder), max_new_tokens=training.sample_tokens, seed=training.seed)
    result = Sample(start, settings, tokenizer, frozenset() if end is None else frozenset([end]))
    generate_batch(speaker, [result])
    speaker.train()
    return result


def format_sample(result: Sample, after: str = "") -> str:
    """The text below a line that says what it is: ``A sample at step 100, 200 tokens:``."""
    ended = ", where the model ended it" if result.finish == "end_of_text" else ""
    return f"A sample{after}, {result.tokens:,} token{'s' * (result.tokens != 1)}{ended}:\n{result.text}"
