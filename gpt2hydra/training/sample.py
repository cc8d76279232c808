"""A sample of the model in training."""

from __future__ import annotations

from transformers import GPT2LMHeadModel

from gpt2hydra.config.run import GenerateConfig, TrainConfig
from gpt2hydra.data.text import sizes
from gpt2hydra.data.tokenizer import Tokenizer
from gpt2hydra.inference.sampling import Sample, generate_batch


def sample(config: TrainConfig, tokenizer: Tokenizer, model: GPT2LMHeadModel) -> Sample:
    """``sample_tokens`` tokens as between two documents, or where there is one only, as on a new line.

    Args:
        model: not sharded. It trains again afterwards.
    """
    end, alone = tokenizer.end_of_text, config.data.path is not None and len(sizes(config.data.path)) == 1
    start = tokenizer.encode("\n") if alone or end is None else [end]
    model.train(False)
    training = config.training
    settings = GenerateConfig(checkpoint="", max_new_tokens=training.sample_tokens, seed=training.seed)
    result = Sample(start, settings, tokenizer, frozenset() if end is None else frozenset([end]))
    generate_batch(model, [result])
    model.train()
    return result


def format_sample(result: Sample, after: str = "") -> str:
    """The text below a line that says what it is: ``A sample at step 100, 200 tokens:``."""
    ended = ", where the model ended it" if result.finish == "end_of_text" else ""
    return f"A sample{after}, {result.tokens:,} token{'s' * (result.tokens != 1)}{ended}:\n{result.text}"
