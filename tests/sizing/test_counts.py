"""The formulas against the real thing: transformers' GPT-2, PyTorch's FLOP counter, autograd's saved tensors."""

import random
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402
from transformers import DynamicCache, GPT2LMHeadModel  # noqa: E402

from gpt2hydra import GPT2Config, sizing  # noqa: E402
from gpt2hydra.checkpoint import folder as checkpoint  # noqa: E402
from gpt2hydra.sizing.memory import Step  # noqa: E402
from gpt2hydra.training.loop import token_loss  # noqa: E402


def shape(seed: int, **dropout: Any) -> GPT2Config:
    draw = random.Random(seed)
    heads = draw.choice([1, 2, 3, 4])
    return GPT2Config(
        vocab_size=draw.randint(11, 200),
        n_positions=draw.randint(8, 64),
        n_embd=heads * draw.choice([4, 8, 16]),
        n_layer=draw.randint(1, 3),
        n_head=heads,
        **dropout,
    )


def build(
    config: GPT2Config, attention: str = "eager", activation: str = "gelu_pytorch_tanh", checkpointing: bool = False
) -> Any:
    """A model in training mode."""
    settings = checkpoint.runtime_config(config, attention="eager" if attention == "eager" else "sdpa")
    settings.activation_function = activation
    torch.manual_seed(0)
    model: Any = GPT2LMHeadModel(settings)
    if checkpointing:  # transformers renamed it
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    return model.train()


CONFIGS = [*GPT2Config.presets().values(), *(shape(seed) for seed in range(30))]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.n_layer}x{config.n_embd}")
def test_parameters_are_those_of_the_model(config: GPT2Config) -> None:
    with torch.device("meta"):
        model = build(config)
    named = dict(model.named_parameters())

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


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.n_layer}x{config.n_embd}")
def test_flops_are_those_that_pytorch_counts(config: GPT2Config) -> None:
    batch, seq_len = 2, config.n_positions
    with torch.device("meta"):  # counts shapes, computes nothing
        model = build(config)
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
def test_checkpointing_computes_as_much_again_as_is_said(seed: int) -> None:
    config = shape(seed, resid_pdrop=0.1 * (seed % 3))
    model = build(config, checkpointing=True)
    batch, seq_len = 1 + seed % 3, config.n_positions
    tokens = torch.randint(config.vocab_size, (batch, seq_len))
    with FlopCounterMode(display=False) as training:
        model(tokens, use_cache=False).logits.sum().backward()
    counted = sizing.flops_per_token(config, seq_len, gradient_checkpointing=True)
    assert training.get_total_flops() == batch * seq_len * counted


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.n_layer}x{config.n_embd}")
def test_the_cache_is_as_large_as_transformers(config: GPT2Config) -> None:
    batch = 3
    with torch.device("meta"), torch.no_grad():
        model = build(config).eval()
        cache: Any = DynamicCache(config=model.config)  # its layers' types differ from one transformers to the next
        model(torch.zeros(batch, 5, dtype=torch.long), cache, use_cache=True)
    held = sum(each.nbytes for layer in cache.layers for each in (layer.keys, layer.values))
    assert held == sizing.kv_cache_bytes(config, batch, 5, "float32")


CASES = [
    (seed, precision, attention, checkpointing)
    for seed in range(5)
    for precision in ("fp32", "bf16", "bf16_pure")
    for attention in ("flash", "math", "eager")
    for checkpointing in (False, True)
]


@pytest.mark.parametrize(("seed", "precision", "attention", "checkpointing"), CASES)
def test_saved_activations_are_exact_byte_for_byte(seed: int, precision: str, attention: str, checkpointing: bool) -> None:
    draw = random.Random(seed)
    dropout = {"resid_pdrop": draw.choice([0.0, 0.1]), "embd_pdrop": draw.choice([0.0, 0.1])}
    dropout["attn_pdrop"] = {"flash": 0.0, "math": 0.1}.get(attention, draw.choice([0.0, 0.1]))
    config = shape(seed + 100, **dropout)
    fused, batch = seed % 2 == 0, 1 + seed % 3
    model = build(config, attention, "gelu_pytorch_tanh" if fused else "gelu_new", checkpointing)
    if precision == "bf16_pure":
        model = model.to(torch.bfloat16)
    seq_len = config.n_positions
    options: dict[str, Any] = {"precision": precision, "attention": attention, "gradient_checkpointing": checkpointing}
    step = Step(config, batch, seq_len, fused_gelu=fused, device="cpu", **options)
    tokens, targets = (torch.randint(config.vocab_size, (batch, seq_len)) for _ in range(2))
    assert saved(lambda: model(tokens, use_cache=False).logits, model, precision) == step.saved() + step.copies()
    loss = saved(lambda: token_loss(model, {"inputs": tokens, "targets": targets}), model, precision)
    assert loss == step.saved() + step.copies() + step.loss()


def saved(forward: Callable[[], Any], model: Any, precision: str) -> int:
    """Bytes of the distinct storages that autograd keeps from a forward pass, parameters aside."""
    own = {each.untyped_storage().data_ptr() for each in model.parameters()}
    storages: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        storages.setdefault(tensor.untyped_storage().data_ptr(), tensor)  # kept, so that no address comes twice
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
    ):
        result = forward()
    assert result.requires_grad
    return sum(tensor.untyped_storage().nbytes() for pointer, tensor in storages.items() if pointer not in own)
