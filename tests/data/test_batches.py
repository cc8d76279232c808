"""Which tokens a step sees."""

from typing import Any

import pytest

pytest.importorskip("torch")

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpt2hydra.data.batches import (
    IGNORE_INDEX,
    Batch,
    SequenceSampler,
    _keys,
    complete_text_batches,
    permute,
    read_windows,
    validation_batches,
    validation_starts,
)
from gpt2hydra.data.tokens import InMemory, Tokens

SEEDS = st.integers(0, 2**32 - 1)


def numbers(count: int) -> Tokens:
    """A text whose tokens tell their places."""
    return Tokens.of(np.arange(count, dtype=np.uint32))


def seen(batches: list[Batch]) -> list[int]:
    """Where each sequence begins."""
    return [int(row[0]) for batch in batches for row in batch.inputs]


# ------------------------------------------------------------------------------------------------------------- training


@given(st.integers(1, 5000), SEEDS)
def test_a_shuffle_is_one_to_one(count: int, seed: int) -> None:
    found = permute(np.arange(count, dtype=np.uint64), count, _keys(seed, 0))
    assert sorted(found.tolist()) == list(range(count))


def test_a_shuffle_of_billions_takes_no_memory_for_them() -> None:
    count = 10**13
    found = permute(np.arange(1000, dtype=np.uint64), count, _keys(1, 0))
    assert len(set(found.tolist())) == 1000
    assert int(found.max()) < count
    assert abs(float(found.mean()) / count - 0.5) < 0.05


def test_a_shuffle_looks_random() -> None:
    count = 10_000
    found = permute(np.arange(count, dtype=np.uint64), count, _keys(7, 0)).astype(np.float64)
    for lag in (1, 2, 100):  # places that follow each other are not related: |r| < 5 / sqrt(n)
        assert abs(np.corrcoef(found[:-lag], found[lag:])[0, 1]) < 0.05
    assert abs(np.corrcoef(found, np.arange(count))[0, 1]) < 0.05


def epochs(sampler: SequenceSampler, count: int) -> "list[np.ndarray[Any, Any]]":
    """Where the sequences of each of the first ``count`` epochs begin."""
    steps = -(-count * sampler.windows_per_epoch // sampler.sequences)
    starts = np.concatenate([sampler.starts(step) for step in range(steps)])[: count * sampler.windows_per_epoch]
    return np.split(starts, count)


@given(st.integers(9, 300), st.integers(1, 7), SEEDS)
def test_each_epoch_reads_every_token_once(count: int, sequences: int, seed: int) -> None:
    sampler = SequenceSampler(numbers(count), 8, sequences, seed)
    for starts in epochs(sampler, 2):
        tokens = read_windows(sampler.tokens, starts, 8).inputs.flatten().tolist()
        assert len(set(tokens)) == len(tokens) > count - 8


def test_each_epoch_cuts_the_text_elsewhere_and_in_another_order() -> None:
    first, second, third = (starts.tolist() for starts in epochs(SequenceSampler(numbers(801), 8, 100, 1), 3))
    assert len({first[0] % 8, second[0] % 8, third[0] % 8}) > 1
    assert sorted(first) != first


def test_the_token_after_the_last_is_the_first() -> None:
    batch = read_windows(Tokens.split([InMemory(np.arange(6)), InMemory(np.arange(6, 12))], 0.5)[0], np.array([4]), 5)
    assert (batch.inputs.tolist(), batch.targets.tolist()) == ([[7, 8, 0, 1, 2]], [[8, 0, 1, 2, 6]])


def test_random_sequences_begin_anywhere() -> None:
    order = SequenceSampler(numbers(10), 8, 50, 1, "random")
    assert set(order.starts(0).tolist()) == {0, 1}
    assert SequenceSampler(numbers(60_000), 8, 4, 1, "random").starts(3).tolist() == [58227, 55447, 21567, 17940]


def test_the_order_is_the_same_on_every_machine() -> None:
    assert SequenceSampler(numbers(60_001), 8, 4, 1337).starts(12).tolist() == [59844, 40852, 9867, 24995]


@pytest.mark.parametrize("kind", ["shuffled", "random"])
@given(st.integers(9, 300), st.integers(0, 10**6), SEEDS)
def test_a_batch_depends_only_on_seed_and_step(kind: str, count: int, step: int, seed: int) -> None:
    orders = [SequenceSampler(numbers(count), 8, 6, seed, kind) for _ in range(2)]
    orders[0].starts(step + 1)
    assert orders[0].starts(step).tolist() == orders[1].starts(step).tolist()
    assert int(orders[0].starts(step).max()) < count


@pytest.mark.parametrize(
    ("batch_size", "processes", "sizes"),
    [(12, 1, [12]), (5, 1, [4, 4, 4]), (12, 3, [4]), (3, 2, [3, 3]), (4, 2, [3, 3]), (1, 12, [1])],
)
def test_processes_share_a_step_in_passes_of_one_size(batch_size: int, processes: int, sizes: list[int]) -> None:
    order = SequenceSampler(numbers(1000), 8, 12, 1)
    parts = [list(order.micro_batches(5, batch_size, rank, processes)) for rank in range(processes)]
    assert [[len(batch.inputs) for batch in part] for part in parts] == [sizes] * processes
    assert seen([batch for part in parts for batch in part]) == order.starts(5).tolist()


def test_targets_are_the_tokens_after_the_inputs() -> None:
    (batch,) = SequenceSampler(numbers(100), 8, 4, 1).micro_batches(0, 4)
    assert batch.inputs.shape == batch.targets.shape == (4, 8)
    assert batch.inputs.is_contiguous() and batch.targets.is_contiguous()
    assert (batch.targets == (batch.inputs + 1) % 100).all()


def test_inputs_and_targets_share_no_memory() -> None:
    batch = read_windows(numbers(9), np.array([0]), 8)
    batch.targets[:] = IGNORE_INDEX
    assert batch.inputs.tolist() == [list(range(8))]


# ----------------------------------------------------------------------------------------------------------- validation


@pytest.mark.parametrize(("count", "starts"), [(9, [0]), (17, [0, 8]), (18, [0, 9]), (1000, [0, 330, 660, 991])])
def test_an_evaluation_is_spread_evenly(count: int, starts: list[int]) -> None:
    assert validation_starts(count, 8, 4).tolist() == starts


@given(st.integers(9, 400), st.integers(1, 9), st.integers(1, 5))
def test_an_evaluation_is_the_same_whatever_batch_and_processes(count: int, batch_size: int, processes: int) -> None:
    parts = [list(validation_batches(numbers(count), 8, 20, batch_size, rank, processes)) for rank in range(processes)]
    assert seen([batch for part in parts for batch in part]) == validation_starts(count, 8, 20).tolist()


@given(st.integers(2, 200), st.integers(1, 9), st.integers(0, 7), st.integers(1, 3))
def test_the_complete_text_counts_each_token_once(count: int, batch_size: int, context: int, processes: int) -> None:
    parts = [list(complete_text_batches(numbers(count), 8, batch_size, context, rank, processes)) for rank in range(processes)]
    batches = [batch for part in parts for batch in part]
    counted = [int(target) for batch in batches for target in batch.targets.flatten() if target != IGNORE_INDEX]
    assert sorted(counted) == list(range(1, count))
    assert sum(batch.counted for batch in batches) == count - 1
    for batch in batches:
        for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
            unseen = [target for target in targets if target != IGNORE_INDEX]
            assert inputs[0] == 0 or unseen[0] - inputs[0] > context  # so much of the text stands before it
