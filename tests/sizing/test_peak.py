"""The predicted peak of a step against the one that PyTorch's profiler sees: real steps, on this processor. Needs torch."""

import gc
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from torch.profiler import ProfilerActivity, profile  # noqa: E402

from gpt2hydra import GPT2Config, sizing  # noqa: E402
from tests.sizing.models import build, loss_of  # noqa: E402

NO_DROPOUT: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
DEEP = GPT2Config(vocab_size=500, n_positions=64, n_embd=128, n_layer=5, n_head=4, **NO_DROPOUT)
WIDE_VOCABULARY = GPT2Config(vocab_size=6000, n_positions=64, n_embd=128, n_layer=2, n_head=4, **NO_DROPOUT)
DROPPING = GPT2Config(vocab_size=500, n_positions=64, n_embd=128, n_layer=3, n_head=4)


@pytest.mark.parametrize(
    ("config", "batch", "options"),
    [
        pytest.param(DEEP, 8, {}, id="many layers"),
        pytest.param(DEEP, 1, {}, id="one sequence"),
        pytest.param(DEEP, 8, {"accumulation": True}, id="accumulated"),
        pytest.param(DEEP, 16, {"gradient_checkpointing": True}, id="checkpointed"),
        pytest.param(DEEP, 8, {"gradient_checkpointing": True, "accumulation": True}, id="checkpointed, accumulated"),
        pytest.param(DEEP, 2, {"precision": "bf16"}, id="bf16"),
        pytest.param(WIDE_VOCABULARY, 8, {}, id="large vocabulary"),
        pytest.param(WIDE_VOCABULARY, 1, {}, id="large vocabulary, one sequence"),
        pytest.param(WIDE_VOCABULARY, 2, {"accumulation": True, "precision": "bf16"}, id="large vocabulary, accumulated, bf16"),
        pytest.param(DROPPING, 8, {}, id="dropout"),
        pytest.param(DROPPING, 16, {"attention": "eager"}, id="dropout, eager"),
    ],
)
def test_the_peak_is_what_the_profiler_sees(config: GPT2Config, batch: int, options: dict[str, Any], tmp_path: Path) -> None:
    memory = sizing.training_memory(config, batch, 64, keeps_logits=False, device="cpu", **options)
    model = build(config, memory.step.attention, checkpointing=memory.step.gradient_checkpointing)
    adamw = torch.optim.AdamW(model.parameters(), fused=True)
    inputs, targets = (torch.randint(config.vocab_size, (batch, 64)) for _ in range(2))

    def step() -> None:
        for _ in range(2 if memory.step.accumulation else 1):
            with torch.autocast("cpu", torch.bfloat16, enabled=memory.step.autocast):
                loss: Any = loss_of(model, inputs, targets)
            loss.backward()
        adamw.step()
        adamw.zero_grad()

    step()  # makes AdamW's means
    held = 3 * sum(each.nbytes for each in model.parameters())
    assert held == memory.weights + memory.optimizer
    assert memory.total == pytest.approx(held + peak_above_start(step, tmp_path), rel=0.01)


def peak_above_start(step: Callable[[], None], folder: Path) -> int:
    """Bytes of tensors that were alive together during ``step``, less those that were before it."""
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as reported:
        step()
    reported.export_chrome_trace(str(folder / "trace.json"))
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    changes = sorted((each["ts"], each["args"]["Bytes"]) for each in events if each.get("name") == "[memory]")
    return int(max(itertools.accumulate(change for _, change in changes)))
