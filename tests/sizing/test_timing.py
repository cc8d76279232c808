"""How long a step takes, by measured passes."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import cycle

import pytest

torch = pytest.importorskip("torch")

from gpt2hydra.config.run import TrainingConfig  # noqa: E402
from gpt2hydra.sizing import timing  # noqa: E402
from gpt2hydra.sizing.timing import (  # noqa: E402
    BLOCK_OVERHEAD_SECONDS,
    Seconds,
    TimedParts,
    extrapolate,
    make_parts,
    step_seconds,
    time_parts,
)
from tests.models import TINY  # noqa: E402

TRAINING = TrainingConfig(seq_len=8, batch_size=2)


@pytest.fixture(autouse=True)
def nothing_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_measurements", timing._Measurements())


def test_points_of_a_sweep_that_differ_in_depth_or_seed_share_a_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[TimedParts] = []

    def count(each: TimedParts) -> Seconds:
        calls.append(each)
        return Seconds(1, 1, 1, 1)

    monkeypatch.setattr(timing, "time_parts", count)
    times = [
        step_seconds(replace(TINY, n_layer=layers), replace(TRAINING, seed=seed), 2, 2) for layers in (1, 2) for seed in (1, 2)
    ]
    assert len(calls) == 1 and times[0] == times[1] and times[2] == times[3] != times[0]
    step_seconds(TINY, replace(TRAINING, precision="bf16"), 2, 2)
    assert len(calls) == 2


def test_after_some_seconds_of_measuring_other_shapes_take_the_speed_of_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def measure(_: TimedParts) -> Seconds:
        now[0] += 6
        return Seconds(1, 1, 1, 1)

    monkeypatch.setattr(timing, "time_parts", measure)
    monkeypatch.setattr(timing, "_measurements", timing._Measurements(clock=lambda: now[0]))
    _, second, third = (step_seconds(replace(TINY, n_positions=each), TRAINING, 2, 2) for each in (8, 16, 32))
    assert (now[0], third) == (12, second)


@pytest.mark.parametrize(
    ("durations", "best"),
    [
        pytest.param([(0.4, 0.01, 0.06), (0.002,), (0.1,), (0.2, 0.15)], (0.01, 0.002, 0.1, 0.15), id="in several rounds"),
        pytest.param([(100, 1), (50, 1), (0.06,), (7, 1)], (100, 50, 0.06, 7), id="once where that takes longer"),
    ],
)
def test_the_fastest_call_of_each_part_counts(durations: list[tuple[float, ...]], best: tuple[float, ...]) -> None:
    now = [0.0]

    def part(seconds: Iterator[float]) -> None:
        now[0] += next(seconds)

    taking_turns = TimedParts(*(partial(part, cycle(each)) for each in durations))
    assert time_parts(taking_turns, lambda: now[0]) == pytest.approx(best)


def test_a_step_is_its_blocks_its_ends_and_their_updates() -> None:
    measured = Seconds(block=1, ends=10, update_block=0.1, update_ends=0.5)
    assert extrapolate(measured, layers=12, times=3, micro_batches=2) == pytest.approx(
        12 * 3 + 24 * BLOCK_OVERHEAD_SECONDS + 30 + 12 * 0.1 + 0.5
    )


@pytest.mark.parametrize(
    ("precision", "checkpointing"), [("fp32", False), ("fp32", True), ("bf16", False), ("bf16_pure", False)]
)
def test_the_parts_are_those_of_the_model(precision: str, checkpointing: bool) -> None:
    training = replace(TRAINING, precision=precision, gradient_checkpointing=checkpointing)
    for part in make_parts(TINY, training, 2):
        part()


def test_measuring_imports_no_torch_dynamo() -> None:
    code = (
        "import sys; from gpt2hydra import GPT2Config; from gpt2hydra.config.run import TrainingConfig; "
        "from gpt2hydra.sizing import timing; timing.ROUNDS_SECONDS = 0.01; "
        "timing.step_seconds(GPT2Config(n_embd=24, n_layer=1), TrainingConfig(seq_len=8, batch_size=2), 2, 2); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_more_sequences_the_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "time_parts", lambda _: Seconds(1, 1, 1, 1))
    monkeypatch.setattr("os.cpu_count", torch.get_num_threads)
    times = [step_seconds(TINY, TRAINING, *share) for share in ((2, 2), (8, 2), (8, 2, 3))]
    layers = TINY.n_layer
    of_passes = [count * (1 + layers) + count * layers * BLOCK_OVERHEAD_SECONDS for count in (1, 4)]
    assert times[:2] == pytest.approx([each + layers + 1 for each in of_passes])
    assert times[2] == pytest.approx(3 * (of_passes[1] + layers + 1))
