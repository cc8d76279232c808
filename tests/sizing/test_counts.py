"""The formulas against the real thing: transformers' GPT-2, PyTorch's FLOP counter."""

import functools
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402
from transformers import DynamicCache  # noqa: E402

from gpt2hydra import GPT2Config, sizing  # noqa: E402
from tests.sizing.models import build, shape  # noqa: E402

CONFIGS = [*GPT2Config.presets().values(), *(shape(seed) for seed in range(30))]
SHALLOW = [replace(config, n_layer=min(3, config.n_layer)) for config in CONFIGS]  # layers are alike


@functools.cache
def on_meta(config: GPT2Config) -> Any:
    """A model that has shapes and no values."""
    with torch.device("meta"):
        return build(config)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.n_layer}x{config.n_embd}")
def test_parameters_are_those_of_the_model(config: GPT2Config) -> None:
    named = dict(on_meta(config).named_parameters())

    def count(*parts: str) -> int:
        return sum(each.numel() for name, each in named.items() if any(part in name for part in parts))

    assert vars(sizing.parameters(config)) == {
        "token_embedding": count("wte"),
        "position_embedding": count("wpe"),
        "attention": count(".attn."),
        "mlp": count(".mlp."),
        "layer_norm": count(".ln_"),
    }
    assert sizing.parameters(config).total == count("")


@pytest.mark.parametrize("config", SHALLOW, ids=lambda config: f"{config.n_layer}x{config.n_embd}")
def test_flops_are_those_that_pytorch_counts(config: GPT2Config) -> None:
    batch, seq_len = 2, config.n_positions
    model = on_meta(config)
    with torch.device("meta"):  # counts shapes, computes nothing
        tokens = torch.zeros((batch, seq_len), dtype=torch.long)

        def logits() -> Any:
            cache = DynamicCache(config=model.config)  # or transformers looks for several texts in one sequence
            return model(tokens, cache, use_cache=True).logits

        with FlopCounterMode(display=False) as forward, torch.no_grad():
            logits()
        with FlopCounterMode(display=False) as training:
            logits().sum().backward()
    assert forward.get_total_flops() == batch * seq_len * sizing.flops_per_token(config, seq_len, training=False)
    assert training.get_total_flops() == batch * seq_len * sizing.flops_per_token(config, seq_len)


@pytest.mark.parametrize("seed", range(30))
def test_checkpointing_computes_as_much_again_as_documented(seed: int) -> None:
    config = shape(seed, resid_pdrop=0.1 * (seed % 3))
    model = build(config, checkpointing=True)
    batch, seq_len = 1 + seed % 3, config.n_positions
    tokens = torch.randint(config.vocab_size, (batch, seq_len))
    with FlopCounterMode(display=False) as training:
        model(tokens, use_cache=False).logits.sum().backward()
    counted = sizing.flops_per_token(config, seq_len, gradient_checkpointing=True)
    assert training.get_total_flops() == batch * seq_len * counted


@pytest.mark.parametrize("config", SHALLOW, ids=lambda config: f"{config.n_layer}x{config.n_embd}")
def test_the_cache_is_as_large_as_transformers(config: GPT2Config) -> None:
    batch = 3
    with torch.device("meta"), torch.no_grad():
        model = on_meta(config)
        cache: Any = DynamicCache(config=model.config)  # its layers' types differ from one transformers to the next
        model(torch.zeros(batch, 5, dtype=torch.long), cache, use_cache=True)
    held = sum(each.nbytes for layer in cache.layers for each in (layer.keys, layer.values))
    assert held == sizing.kv_cache_bytes(config, batch, 5, "float32")
