"""An unknown key is reported with the key that was probably meant, and a remedy that obeys."""

import pytest

from gpt2hydra import GPT2Config, TrainConfig
from gpt2hydra.config.keys import keys_of
from gpt2hydra.config.wrong_keys import unknown_dotted_key, unknown_key


@pytest.mark.parametrize(
    ("key", "value", "rule", "suggestion"),
    [
        ("model.n_hed", 3, "unknown key; did you mean model.n_head?", "model.n_head=3"),
        ("n_head", 3, "unknown key; did you mean model.n_head?", "model.n_head=3"),
        ("training.lr", 1e-3, "unknown key; did you mean training.learning_rate?", "training.learning_rate=0.001"),
        ("training.min_learning_rate", 6e-5, "unknown key; did you mean training.min_learning_rate_ratio?", ""),
        ("modle", "large", "unknown key; did you mean model?", "model=large"),
        ("experimnt", "quickstart", "unknown key; did you mean experiment?", "experiment=quickstart"),
        ("model.n_hed", "many", "unknown key; did you mean model.n_head?", ""),
        ("model.pad_vocab_size_multiple", 16, f"unknown key; known: {', '.join(keys_of(GPT2Config))}", ""),
        ("model.n_iner", 3, "unknown key; did you mean model.n_inner?", ""),
        ("dry_run.x", 3, "unknown key: dry_run is a single value, it has no keys below it", ""),
    ],
)
def test_the_key_that_was_meant_is_named(key: str, value: object, rule: str, suggestion: str) -> None:
    violation = unknown_dotted_key(TrainConfig, key, value, groups=("model", "experiment"))
    assert (violation.key, violation.value, violation.rule, violation.suggestion) == (key, value, rule, suggestion)


def test_a_key_like_no_other_is_reported_with_all_that_are_known() -> None:
    violation = unknown_key(GPT2Config, "zebra", 3, "model.")
    assert (violation.key, violation.suggestion) == ("model.zebra", "")
    assert violation.rule.startswith("unknown key; known: vocab_size, n_positions")
