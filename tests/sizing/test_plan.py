"""What a run costs, in words and in numbers."""

import json

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.sizing.plan import Plan


def compose(*overrides: str) -> TrainConfig:
    config: TrainConfig = gpt2hydra.compose("train", list(overrides))
    return config


def test_the_plan_in_words() -> None:
    text = str(Plan(compose("model=large", "hardware=h100_80gb", "training.precision=bf16", "training.batch_size=8")))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "GPT-2 of 36 layers, 1280 wide, 20 heads of 64; 50,257 tokens, sequences of 1,024"
    assert "parameters 774,030,080 exact" in lines
    assert "tokens a step 8,192 exact 8 sequences x 1,024" in lines
    assert "checkpoint 3.10 GB exact float32 weights" in lines
    assert "time 107.6 s predicted at 40% of 989.4 TFLOP/s (bf16)" in lines
    assert any(line.startswith("memory of a step 31.04 GB predicted of the 85.90 GB of NVIDIA H100 SXM 80GB") for line in lines)


def test_every_figure_says_whether_it_is_exact() -> None:
    _title, _, *lines = str(Plan(compose("hardware=l4"))).splitlines()
    figures = lines[: lines.index(next(line for line in lines if line.startswith("GB are")))]
    assert all((" exact" in line) != (" predicted" in line) for line in figures if line)


def test_the_parts_of_the_memory_add_up_to_the_peak() -> None:
    numbers = Plan(compose("model=xl", "hardware=a100_80gb")).to_dict()
    assert sum(numbers["predicted_memory_bytes"].values()) == numbers["predicted_peak_bytes"]
    assert json.loads(json.dumps(numbers)) == numbers
