"""What a fingerprint tells apart, and what it does not."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given

from gpt2hydra import GenerateConfig, GPT2Config, TrainConfig
from gpt2hydra.config.fields import integer, number, text
from gpt2hydra.config.fingerprint import fingerprint, fingerprints, result_values
from gpt2hydra.config.keys import field_at, keys_of
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.config.sections import section
from gpt2hydra.config.validation import Checked
from tests.strategies import gpt2_configs


def test_a_fingerprint_is_the_same_in_every_version_and_on_every_machine() -> None:
    assert GPT2Config().fingerprint() == "49242b00b2424d2b"
    assert GPT2Config.gpt2_xl().fingerprint() == "9faafe31bf220907"


def test_a_fingerprint_is_the_hash_of_plain_json() -> None:
    import hashlib

    text = (
        '{"attn_pdrop":0.1,"embd_pdrop":0.1,"layer_norm_epsilon":1e-05,"n_embd":768,"n_head":12,"n_layer":12,'
        '"n_positions":1024,"resid_pdrop":0.1,"vocab_size":50257}'
    )
    assert GPT2Config().fingerprint() == hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Inner(Checked):
    rate: float = number(0.5, "a rate", at_least=0)
    name: str = text("é\ud800", "any text, also what no encoding holds")


@dataclass(frozen=True)
class Forwards(Checked):
    a: int = integer(1, "first", at_most=9)
    pause: int = integer(1, "seconds to wait", at_most=9, affects_result=False)
    inner: Inner = section(Inner, "a section")
    aside: Inner = section(Inner, "a section without a say", affects_result=False)


@dataclass(frozen=True)
class Backwards(Checked):
    inner: Inner = section(Inner, "a section")
    a: int = integer(1, "first", at_most=9)


def test_the_order_of_fields_and_keys_without_effect_do_not_change_the_fingerprint() -> None:
    assert result_values(Forwards()) == {"a": 1, "inner.rate": 0.5, "inner.name": "é\ud800"}
    assert fingerprint(Forwards(pause=2, aside=Inner(rate=0.1))) == fingerprint(Backwards())
    assert fingerprint(Forwards(a=2)) != fingerprint(Backwards())


def test_equal_numbers_are_one() -> None:
    assert Inner(rate=0).fingerprint() == Inner(rate=0.0).fingerprint() == Inner(rate=-0.0).fingerprint()


@given(gpt2_configs(), gpt2_configs())
def test_two_shapes_have_one_fingerprint_if_they_are_equal(one: GPT2Config, other: GPT2Config) -> None:
    assert (one.fingerprint() == other.fingerprint()) == (one == other)
    assert GPT2Config.from_dict(one.to_dict()).fingerprint() == one.fingerprint()


@pytest.mark.parametrize(
    "key",
    """training.device training.eval_interval training.log_interval training.sample_tokens training.gradient_checkpointing
    hardware.memory_gb hardware.name dry_run preflight""".split(),
)
def test_keys_that_do_not_affect_the_result(key: str) -> None:
    assert key not in result_values(TrainConfig())


def test_every_other_key_affects_the_fingerprint() -> None:
    config = TrainConfig()
    for key in result_values(config):
        changed = replace_at(config, key, another(field_at(TrainConfig, key)))
        assert changed.fingerprint() != config.fingerprint(), key
    assert set(result_values(config)) < set(keys_of(TrainConfig))
    assert {"data.path", "model.n_head", "training.seed", "training.max_steps", "tokenizer.name"} <= set(result_values(config))


def another(field: Any) -> object:
    """A valid value of a field that is not its default."""
    rule = field.metadata["rule"]
    if rule.choices:
        return next(each for each in rule.choices if each != field.default)
    if rule.kind is str:
        return "another"
    return not field.default if rule.kind is bool else rule.kind((field.default or 0) + (1 if rule.kind is int else 1e-9))


def replace_at(config: Any, key: str, value: object) -> Any:
    """``config`` with one key changed; what its relations say of that is not asked."""
    name, _, rest = key.partition(".")
    changed = object.__new__(type(config))
    changed.__dict__.update(vars(config) | {name: replace_at(getattr(config, name), rest, value) if rest else value})
    return changed


def test_a_record_has_one_for_the_model_and_one_for_the_run() -> None:
    config = TrainConfig(training=TrainingConfig(seed=7))
    assert fingerprints(config) == {"model": GPT2Config().fingerprint(), "run": config.fingerprint()}
    assert fingerprints(replace(config, training=TrainingConfig(seed=8)))["model"] == fingerprints(config)["model"]
    sample = GenerateConfig(checkpoint="x")
    assert fingerprints(sample) == {"run": sample.fingerprint()}
