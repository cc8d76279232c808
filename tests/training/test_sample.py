"""A sample of the model in training."""

import pytest

pytest.importorskip("torch")

import dataclasses

from gpt2hydra import GenerateConfig, TrainConfig
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.data.tokenizer import bytes_tokenizer
from gpt2hydra.inference.sampling import Sample
from gpt2hydra.training.sample import format_sample, generate_sample
from tests.models import TINY, tiny_model


def test_a_sample_follows_from_the_seed_and_leaves_the_model_in_training() -> None:
    config = TrainConfig(model=TINY, training=TrainingConfig(seq_len=16, sample_tokens=12))
    model = tiny_model().train()
    drawn = generate_sample(config, bytes_tokenizer(), model)
    assert (drawn.tokens, drawn.finish, model.training) == (12, "length", True)
    assert generate_sample(config, bytes_tokenizer(), tiny_model()).text == drawn.text
    longer = dataclasses.replace(config, training=TrainingConfig(seq_len=16, sample_tokens=24))
    assert generate_sample(longer, bytes_tokenizer(), model).text.startswith(drawn.text.rstrip("\ufffd"))


def test_a_sample_says_how_long_it_is_and_whether_the_model_ended_it() -> None:
    drawn = Sample([1], GenerateConfig(checkpoint="x"), bytes_tokenizer())
    drawn.text, drawn.tokens = "To be", 5
    assert format_sample(drawn, " at step 1,000") == "A sample at step 1,000, 5 tokens:\nTo be"
    drawn.tokens, drawn.finish = 1, "end_of_text"
    assert format_sample(drawn) == "A sample, 1 token, where the model ended it:\nTo be"
