"""The predicted memory of a training step, against figures of CUDA and common sense. Real steps: ``test_peak.py``."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2hydra import GPT2Config, sizing
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.sizing.memory import MEMORY_PARTS, TrainingMemory
from tests.strategies import gpt2_configs

SMALL = GPT2Config.gpt2_small()


def memory(config: GPT2Config = SMALL, batch_size: Any = 1, seq_len: Any = 1, **options: Any) -> TrainingMemory:
    return sizing.training_memory(config, batch_size, seq_len, **options)


@pytest.mark.parametrize(
    ("size", "activations"),
    [("small", 1_023_775_012), ("medium", 2_379_452_996), ("large", 4_276_589_412), ("xl", 6_986_372_228)],
)
def test_the_four_sizes_as_measured_on_cudas_dispatch(size: str, activations: int) -> None:
    """Saved tensors, loss included: one sequence of 1,024, bf16 autocast, flash attention, gelu_new.

    With transformers' own loss, which pads its labels by one, 8 bytes more are saved.
    """
    config = GPT2Config.preset(size)
    step = memory(config, 1, 1024, precision="bf16", attention="flash", fused_gelu=False)
    assert step.activations + step.step.loss_bytes() == activations


def test_weights_gradients_and_adamw_are_16_bytes_a_parameter_and_8_in_pure_bf16() -> None:
    for precision, bytes_each in (("fp32", 16), ("bf16", 16), ("bf16_pure", 8)):
        step = memory(precision=precision)
        assert step.weights + step.gradients + step.optimizer == bytes_each * sizing.parameters(SMALL).total


@given(gpt2_configs(), st.sampled_from(["fp32", "bf16", "bf16_pure"]), st.booleans(), st.sampled_from(["cuda", "cpu"]))
def test_the_peak_is_its_largest_moment_and_grows_with_the_batch(
    config: GPT2Config, precision: str, checkpointing: bool, device: str
) -> None:
    options: dict[str, Any] = {"precision": precision, "gradient_checkpointing": checkpointing, "device": device}
    one, two = (memory(config, batch, config.n_positions, **options) for batch in (1, 2))
    for moment in one.moments:
        assert moment.total == sum(getattr(moment, part) for part in MEMORY_PARTS) <= one.total
        assert min(getattr(moment, part) for part in MEMORY_PARTS) >= 0
    assert one.total < two.total and one.activations < two.activations


@pytest.mark.parametrize("changes", [{"gradient_checkpointing": True}, {"precision": "bf16"}, {"fused_gelu": True}])
def test_checkpointing_and_bf16_reduce_the_peak(changes: dict[str, Any]) -> None:
    usual = {"precision": "fp32", "attention": "memory_efficient", "fused_gelu": False}
    assert memory(SMALL, 4, 1024, **usual | changes).total < memory(SMALL, 4, 1024, **usual).total


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"batch_size": 0}, "batch_size = 0\n    must be ≥ 1", id="no batch"),
        pytest.param({"batch_size": -1}, "batch_size = -1\n    must be ≥ 1", id="negative batch"),
        pytest.param({"batch_size": True}, "must be an integer", id="bool for a batch"),
        pytest.param({"batch_size": 1.0}, "must be an integer", id="float for a batch"),
        pytest.param({"seq_len": 1025}, "seq_len = 1025\n    must be ≤ model.n_positions = 1024", id="long sequence"),
        pytest.param({"precision": "fp16"}, "must be one of fp32, bf16, bf16_pure", id="precision"),
        pytest.param({"attention": "flsh"}, "must be one of sdpa, flash, memory_efficient, math, eager", id="attention"),
        pytest.param({"attention": "flash", "precision": "fp32"}, "must be one of memory_efficient, eager", id="kernel"),
        pytest.param({"device": "tpu"}, "must be one of cuda, cpu", id="device"),
    ],
)
def test_a_wrong_argument_is_reported_with_what_is_allowed(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        memory(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize("dtype", ["bf16", "int8", "Float32", None])
def test_an_unknown_dtype_is_no_other_one(dtype: Any) -> None:
    with pytest.raises(ConfigError, match="must be one of float32, bfloat16, float16"):
        sizing.kv_cache_bytes(SMALL, 1, 1, dtype)
    with pytest.raises(ConfigError, match="must be one of float32, bfloat16, float16"):
        sizing.checkpoint_bytes(SMALL, dtype)


def characters(dropout: float = 0.1) -> GPT2Config:
    """0.8M parameters, 4 layers: nanoGPT's setting for a CPU."""
    drops: dict[str, Any] = {"resid_pdrop": dropout, "embd_pdrop": dropout, "attn_pdrop": dropout}
    return GPT2Config(vocab_size=257, n_positions=64, n_embd=128, n_layer=4, n_head=4, **drops)


WIDER = GPT2Config(vocab_size=257, n_positions=256, n_embd=384, n_layer=6, n_head=6)

CHECKPOINTED = {"gradient_checkpointing": True}
PASSES = {"accumulation": True}


@pytest.mark.parametrize(
    ("config", "batch_size", "options", "measured"),
    [
        pytest.param(characters(), 16, {}, 94, id="0.8M, batch 16"),
        pytest.param(characters(), 128, {}, 662, id="0.8M, batch 128"),
        pytest.param(characters(), 512, {}, 2458, id="0.8M, batch 512"),
        pytest.param(characters(0), 256, {}, 826, id="0.8M, batch 256, no dropout"),
        pytest.param(characters(), 64, PASSES, 460, id="0.8M, 64 x 4 passes"),
        pytest.param(WIDER, 16, {}, 1669, id="10.7M, batch 16"),
        pytest.param(WIDER, 16, {"precision": "bf16"}, 1371, id="10.7M, batch 16, bf16"),
        pytest.param(SMALL, 2, {}, 3211, id="124M, batch 2"),
        pytest.param(characters(), 128, CHECKPOINTED, 149, id="0.8M, batch 128, checkpointing"),
        pytest.param(characters(0), 256, CHECKPOINTED, 212, id="0.8M, batch 256, checkpointing, no dropout"),
        pytest.param(characters(), 64, CHECKPOINTED | PASSES, 81, id="0.8M, 64 x 4 passes, checkpointing"),
        pytest.param(WIDER, 16, CHECKPOINTED | PASSES, 438, id="10.7M, 16 x 2 passes, checkpointing"),
    ],
)
def test_a_run_on_a_cpu_takes_what_is_predicted(
    config: GPT2Config, batch_size: int, options: dict[str, Any], measured: int
) -> None:
    """MB above Python and libraries, of real runs: ``benchmarks/memory.py``. Within 10 %, never below."""
    seq_len = min(256, config.n_positions)
    predicted = memory(config, batch_size, seq_len, keeps_logits=False, device="cpu", **options).resident / 1e6
    assert measured <= predicted < 1.1 * measured


@given(gpt2_configs(), st.booleans(), st.booleans())
def test_only_a_cpu_has_an_allocator_overhead(config: GPT2Config, checkpointing: bool, accumulation: bool) -> None:
    options: dict[str, Any] = {"gradient_checkpointing": checkpointing, "accumulation": accumulation}
    on_cpu, on_gpu = (memory(config, 1, config.n_positions, device=device, **options) for device in ("cpu", "cuda"))
    assert on_cpu.resident > on_cpu.total and on_gpu.resident == on_gpu.total
