"""config.json of Hugging Face, in and out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from gpt2hydra import GPT2Config
from gpt2hydra.checkpoint import huggingface
from gpt2hydra.checkpoint.huggingface import MAX_CONFIG_BYTES, from_hf, to_hf
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.fields import number
from tests.hub import HUB
from tests.strategies import gpt2_configs

SMALL = HUB["small"]


def refusal(source: Any) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        from_hf(source)
    return [f"{violation.key}: {violation.rule}" for violation in refused.value.violations]


# -------------------------------------------------------------------------------------------------------- there and back


def test_the_hubs_gpt2_is_gpt2_small() -> None:
    assert from_hf(SMALL) == GPT2Config.gpt2_small()


@pytest.mark.parametrize(("name", "shape"), [("medium", (1024, 24, 16)), ("large", (1280, 36, 20)), ("xl", (1600, 48, 25))])
def test_the_hubs_other_sizes_are_ours(name: str, shape: tuple[int, int, int]) -> None:
    sized = dict(zip(("n_embd", "n_layer", "n_head"), shape, strict=True))
    assert from_hf(SMALL | sized | {"n_special": 0, "predict_special_tokens": True}) == GPT2Config.preset(name)


@given(gpt2_configs())
def test_a_config_survives_the_way_there_and_back(config: GPT2Config) -> None:
    assert from_hf(json.loads(json.dumps(to_hf(config)))) == config


def test_to_hf_writes_every_key() -> None:
    assert to_hf(GPT2Config(257, 64, 32, 2, 4, 0, 0.1, 0.2, 1e-6)) == {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": 257,
        "n_positions": 64,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.1,
        "attn_pdrop": 0.2,
        "layer_norm_epsilon": 1e-6,
        "n_ctx": 64,
        "n_inner": None,
        "activation_function": "gelu_new",
        "initializer_range": 0.02,
        "scale_attn_weights": True,
        "tie_word_embeddings": True,
        "use_cache": True,
        "bos_token_id": 256,
        "eos_token_id": 256,
    }


@pytest.mark.parametrize("token", [-1, 257])
def test_end_of_text_is_a_token(token: int) -> None:
    with pytest.raises(ConfigError, match="must be a token: ≥ 0 and < vocab_size = 257"):
        to_hf(GPT2Config(vocab_size=257), token)


def test_end_of_text_is_gpt2s_by_default() -> None:
    assert to_hf(GPT2Config())["eos_token_id"] == 50256
    assert to_hf(GPT2Config(), end_of_text=7)["bos_token_id"] == 7


@pytest.mark.parametrize(
    ("alias", "key"),
    [
        ("hidden_size", "n_embd"),
        ("max_position_embeddings", "n_positions"),
        ("n_ctx", "n_positions"),
        ("num_attention_heads", "n_head"),
        ("num_hidden_layers", "n_layer"),
    ],
)
def test_a_field_under_another_name_is_read(alias: str, key: str) -> None:
    given = {name: value for name, value in SMALL.items() if name not in (key, "n_ctx")}
    assert getattr(from_hf(given | {alias: 24}), key) == 24


def test_n_inner_may_be_given_if_it_agrees() -> None:
    assert from_hf(SMALL | {"n_inner": 3072}) == GPT2Config()


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_inner": 1024}, "n_inner: must be null or 4 * n_embd = 3072"),
        ({"n_inner": 3072.0}, "n_inner: must be null or 4 * n_embd = 3072"),
        ({"activation_function": "relu"}, "activation_function: must be gelu_new or gelu_pytorch_tanh"),
        ({"activation_function": "gelu"}, "activation_function: must be gelu_new or gelu_pytorch_tanh"),
        ({"model_type": "gpt_neox"}, "model_type: must be gpt2"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings: must be true"),
        ({"add_cross_attention": True}, "add_cross_attention: must be false"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx: must be false"),
        ({"scale_attn_weights": False}, "scale_attn_weights: must be true"),
        ({"scale_attn_weights": 1}, "scale_attn_weights: must be true"),
        ({"reorder_and_upcast_attn": True}, "reorder_and_upcast_attn: must be false"),
        ({"quantization_config": {"bits": 4}}, "quantization_config: must be absent"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "auto_map: must be absent"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads: must be empty"),
        ({"n_ctx": 512}, "n_ctx: must agree with n_positions = 1024"),
        ({"n_layers": 3}, "n_layers: unknown key; did you mean n_layer?"),
        ({"n_head": 7}, "n_head: must divide n_embd = 768"),
        ({"n_layer": "12"}, "n_layer: must be an integer ≥ 1"),
        ({"vocab_size": True}, "vocab_size: must be an integer ≥ 1"),
    ],
)
def test_settings_that_our_config_cannot_express_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    (only,) = refusal(SMALL | change)
    assert only.startswith(message)


def test_a_config_without_a_model_type_is_refused() -> None:
    assert refusal({"n_embd": 768}) == ["model_type: must be gpt2"]


def test_everything_is_reported_at_once() -> None:
    assert len(refusal(SMALL | {"n_embd": 0, "activation_function": "relu", "tie_word_embeddings": False})) == 3


# ---------------------------------------------------------------------------------------------------------------- files


def test_a_file_or_its_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    assert from_hf(tmp_path) == from_hf(tmp_path / "config.json") == from_hf(str(tmp_path)) == GPT2Config()


def test_a_refusal_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL | {"n_head": 7}))
    with pytest.raises(ConfigError, match=f"set by {tmp_path}/config.json"):
        from_hf(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"n_embd": NaN}', "holds NaN, which is no JSON number"),
        (b'{"n_embd": -Infinity}', "holds -Infinity, which is no JSON number"),
        (b'{"n_embd": 1, "n_embd": 2}', "has the key n_embd twice"),
        (b'{"n_embd": ' + b"9" * 5000 + b"}", "holds an integer of 5,000 digits"),
        (b'{"n_embd": ' + b"[" * 200_000, "is nested too deeply"),
        (b'{"n_embd": "\xff"}', "is not UTF-8"),
        (b" " * (MAX_CONFIG_BYTES + 1), "is larger than 1,000,000 bytes"),
    ],
)
def test_json_that_is_odd_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    (only,) = refusal(tmp_path)
    assert only.startswith(f"{tmp_path}/config.json: {message}")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "config.json") == [f"{tmp_path}/config.json: there is no such file"]


@dataclass(frozen=True)
class Rotary(GPT2Config):
    """A GPT-2 with something of its own."""

    theta: float = number(10_000.0, "base of the rotary embedding", above=0)


class Wider(GPT2Config):
    """Of the same fields."""


def test_fields_that_would_be_lost_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"theta = 10000\.0\n    would be lost: a config\.json of GPT-2 has no such key"):
        to_hf(Rotary())
    assert to_hf(Wider()) == to_hf(GPT2Config())


def test_another_inner_width_than_transformers_formula_is_written_out() -> None:
    config = GPT2Config()
    assert to_hf(config)["n_inner"] is None
    object.__setattr__(config, "n_inner", 2048)
    assert to_hf(config)["n_inner"] == 2048


def test_null_is_refused_where_transformers_formula_differs_from_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface, "_null_inner_width", lambda n_embd: 3 * n_embd)
    assert refusal(SMALL) == ["n_inner: must be null or 4 * n_embd = 3072"]
    assert to_hf(GPT2Config())["n_inner"] == 3072
