"""What a run costs, in words."""

import pytest

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.config.errors import Setting, Source
from gpt2hydra.sizing import device as this_machine
from gpt2hydra.sizing import timing
from gpt2hydra.sizing.describe import describe, describe_points
from gpt2hydra.sizing.plan import Plan
from gpt2hydra.utils.formatting import format_duration

H100 = ("model=large", "hardware=h100_80gb", "training.precision=bf16", "training.batch_size=8")


def compose(*overrides: str) -> TrainConfig:
    config: TrainConfig = gpt2hydra.compose("train", list(overrides))
    return config


def lines(*overrides: str) -> list[str]:
    """Of a plan, with single spaces."""
    return [" ".join(line.split()) for line in describe(Plan(compose(*overrides), (1_000_000, True))).splitlines()]


def test_the_plan_in_words() -> None:
    reported = lines(*H100)
    assert reported[0] == "GPT-2 of 36 layers, 1280 wide, 20 heads of 64; 50,257 tokens, sequences of 1,024"
    assert {
        "parameters 774,030,080",
        "attention 236,113,920 30.5%",
        "activations ≈ 14.45 GB 8 x 1,024 tokens, bf16, flash attention",
        "memory of the device 84.90 GB NVIDIA H100 SXM 80GB",
        "CUDA context ≈ 600.00 MB",
        "fragmentation ≈ 2.55 GB",
        "available for a step ≈ 81.75 GB fits",
        "tokens a step 8,192 8 sequences x 1,024",
        "epochs 8.19 of 1,000,000 tokens",
        "time ≈ 1 min 48 s 40% of 989 TFLOP/s, published",
        "checkpoint 3.10 GB float32 weights",
        "KV cache 377.49 MB generating 1,024 tokens in float32",
    } <= set(reported)


def test_the_plan_of_several_devices_tells_what_each_has() -> None:
    reported = lines(*H100, "hardware.devices=4", "training.strategy=fsdp", "training.gradient_accumulation_steps=2")
    assert {
        "devices 4 fsdp; 4 sequences of a step each",
        "weights ≈ 774.03 MB 1/4 of them",
        "tokens a step 16,384 8 sequences x 2 micro-batches x 1,024",
        "time ≈ 54 s 40% of 4 x 989 TFLOP/s, published",
    } <= set(reported)


def test_a_plan_fits_eighty_columns() -> None:
    changed = [Setting("training.learning_rate", 1e-3, Source("file", "conf/" + "deep/" * 20 + "a.yaml", 3))]
    for overrides in (H100, ("model=xl", "hardware=rtx_4090", "hardware.devices=4"), ()):
        *rest, _long_path = describe(Plan(compose(*overrides), (10**12, False), changed)).splitlines()
        assert [line for line in rest if len(line) > 80 and not line.startswith(("warning: ", "    training."))] == []


def test_the_time_on_this_processor_is_that_of_measured_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_machine, "gpu_memory", lambda: None)
    monkeypatch.setattr(timing, "step_seconds", lambda *_: 0.0637)
    for precision in ("fp32", "bf16"):
        reported = lines("experiment=quickstart", f"training.precision={precision}", "training.max_steps=1000")
        assert f"time ≈ {format_duration(63.7)} 0.0637 s a step, measured now" in reported


def test_a_time_that_is_not_known_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_machine, "gpu_memory", lambda: None)
    monkeypatch.setattr(timing, "step_seconds", lambda *_: None)
    assert "time unknown needs PyTorch, which is not installed" in lines()
    monkeypatch.setattr(this_machine, "machine_memory", lambda: None)
    assert "memory of the device unknown this machine" in lines()


@pytest.mark.parametrize(("tokens", "repeats"), [(100_000, True), (1_000_000, False)])
def test_a_text_that_is_repeated_many_times_has_a_note_and_fewer_steps(tokens: int, repeats: bool) -> None:
    config = compose("hardware=l4", "training.max_steps=1000")
    text = describe(Plan(config, (tokens, True)))
    assert ("note: the run reads its text 41 times" in text) == ("  try: training.max_steps=97" in text) == repeats


def test_the_memory_of_a_step_on_a_cpu_has_the_allocators_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_machine, "gpu_memory", lambda: None)
    assert any(line.startswith("allocator overhead ≈ ") for line in lines())
    assert not any("allocator" in line for line in lines("hardware=l4"))


def test_points_are_compared_by_what_differs() -> None:
    points = [["model=small", "model.n_head=6", "hardware=l4"], ["model=xl", "model.n_head=10", "hardware=l4"]]
    table = describe_points([(number, point, Plan(compose(*point))) for number, point in enumerate(points)])
    common, _, head, *rows, _, legend = table.splitlines()
    assert common == "All points: hardware=l4."
    assert head.split() == ["model", "n_head", "parameters", "memory", "fits", "FLOPs", "time"]
    assert [row.split()[:4] for row in rows] == [["#0", "small", "6", "124,439,808"], ["#1", "xl", "10", "1,557,611,200"]]
    assert [row.split()[6] for row in rows] == ["yes", "no"]
    assert max(map(len, table.splitlines())) <= 80 and "predicted" in legend


def test_a_key_of_one_name_in_two_sections_is_reported_in_full() -> None:
    points = [["data.path=a", "tokenizer.path=b"], ["data.path=c", "tokenizer.path=d"]]
    head = describe_points([(number, point, Plan(compose())) for number, point in enumerate(points)]).splitlines()[0]
    assert head.split()[:2] == ["data.path", "tokenizer.path"]
