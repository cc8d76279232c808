"""How long a step takes, by measured passes."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from gpt2hydra.config.run import TrainingConfig  # noqa: E402
from gpt2hydra.sizing import timing  # noqa: E402
from gpt2hydra.sizing.timing import BLOCK_OVERHEAD, BUDGET, Seconds, extrapolate, fastest, parts, step_seconds  # noqa: E402
from tests.models import TINY  # noqa: E402

TRAINING = TrainingConfig(seq_len=8, batch_size=2)


def test_the_fastest_of_the_calls_that_fit_counts() -> None:
    now, durations = [0.0], iter([BUDGET / 2, BUDGET / 10, BUDGET / 5, BUDGET / 2])

    def part() -> None:
        now[0] += next(durations)

    assert fastest(part, lambda: now[0]) == pytest.approx(BUDGET / 10)
    assert next(durations, None) is None


def test_a_part_that_takes_longer_is_measured_once() -> None:
    now, calls = [0.0], []

    def part() -> None:
        calls.append(1)
        now[0] += 100

    assert (fastest(part, lambda: now[0]), len(calls)) == (100, 1)


def test_a_step_is_its_blocks_its_ends_and_their_updates() -> None:
    measured = Seconds(block=1, ends=10, update_block=0.1, update_ends=0.5)
    assert extrapolate(measured, layers=12, times=3, passes=2) == pytest.approx(
        12 * 3 + 24 * BLOCK_OVERHEAD + 30 + 12 * 0.1 + 0.5
    )


@pytest.mark.parametrize(
    ("precision", "checkpointing"), [("fp32", False), ("fp32", True), ("bf16", False), ("bf16_pure", False)]
)
def test_the_parts_are_those_of_the_model(precision: str, checkpointing: bool) -> None:
    training = replace(TRAINING, precision=precision, gradient_checkpointing=checkpointing)
    for part in parts(TINY, training, 2):
        part()


def test_the_more_sequences_the_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "fastest", lambda part: 1.0)
    monkeypatch.setattr("os.cpu_count", torch.get_num_threads)
    times = [step_seconds(TINY, TRAINING, *share) for share in ((2, 2), (8, 2), (8, 2, 3))]
    layers = TINY.n_layer
    of_passes = [count * (1 + layers) + count * layers * BLOCK_OVERHEAD for count in (1, 4)]
    assert times[:2] == pytest.approx([each + layers + 1 for each in of_passes])
    assert times[2] == pytest.approx(3 * (of_passes[1] + layers + 1))
    step_seconds.cache_clear()
