"""What autograd keeps of a step, against the tensors that it really keeps, byte for byte."""

import random
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from gpt2hydra.sizing.step import Step  # noqa: E402
from tests.sizing.models import build, loss_of, shape  # noqa: E402

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
    assert (
        saved(lambda: model(tokens, use_cache=False).logits, model, precision) == step.saved_bytes() + step.weight_copy_bytes()
    )
    loss = saved(lambda: loss_of(model, tokens, targets), model, precision)
    assert loss == step.saved_bytes() + step.weight_copy_bytes() + step.loss_bytes()


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
