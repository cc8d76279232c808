"""How many tokens a text has."""

from pathlib import Path

from gpt2hydra.data.corpus import count_training_tokens
from tests.texts import configured


def test_training_tokens_are_known_beforehand(text: Path) -> None:
    assert count_training_tokens(configured(text)) == (289, True)
    assert count_training_tokens(configured(text, "tokenizer=gpt2", "model.vocab_size=50257")) == (73, False)
    assert count_training_tokens(configured("nowhere.txt")) is None
