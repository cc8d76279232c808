"""Which tokens a step sees: windows of the text, by number, from the seed alone. Imports torch.

A step of ``S`` sequences, counted from 0, sees those numbered ``step * S`` to ``step * S + S - 1``. Where
sequence ``n`` begins follows from the seed and ``n``, so no state is kept, and a run continues at any step,
with any number of processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gpt2hydra.data.tokens import Tokens

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

NOT_COUNTED = -100
"""A target that is no part of the loss: what ``torch.nn.functional.cross_entropy`` ignores."""

ROUNDS = 8
"""Of the Feistel network that shuffles; four are enough for a bijection that looks random (Luby and Rackoff 1988)."""


class Batch(NamedTuple):
    """Sequences of one forward pass."""

    inputs: torch.Tensor
    """Tokens, (B, T), int64."""
    targets: torch.Tensor
    """The token after each, (B, T), int64; :data:`NOT_COUNTED` where it is only context."""

    @property
    def counted(self) -> int:
        """Targets that count."""
        return int((self.targets != NOT_COUNTED).sum())


# ------------------------------------------------------------------------------------------------------------- training


@dataclass(frozen=True)
class BatchSampler:
    """The sequences of every step of a run.

    ``shuffled``: the text is a circle, cut into windows of ``seq_len``. Each epoch cuts it from another place
    on, and visits every window once, in an order of its own. ``random``: each sequence begins anywhere, drawn
    with replacement, as nanoGPT draws them.
    """

    tokens: Tokens
    seq_len: int
    sequences: int
    """Of one step, all processes together."""
    seed: int
    kind: str = "shuffled"

    @property
    def windows(self) -> int:
        """Of one epoch. Up to ``seq_len - 1`` tokens are left over: others in each epoch."""
        return len(self.tokens) // self.seq_len

    def starts(self, step: int) -> Integers:
        """Where the sequences of a step begin in the text: (S,)."""
        numbers = np.arange(step * self.sequences, (step + 1) * self.sequences, dtype=np.uint64)
        if self.kind == "random":
            places = len(self.tokens) - self.seq_len  # the last has its last target at the end
            return (_hashed(numbers, _keys(self.seed, 0)[0]) % np.uint64(places)).astype(np.int64)
        length = np.uint64(len(self.tokens))
        epochs, numbers = np.divmod(numbers, np.uint64(self.windows))
        for epoch in np.unique(epochs):
            here, keys = epochs == epoch, _keys(self.seed, int(epoch))
            first_cut = _hashed(keys[:1], keys[1]) % length
            windows = shuffled(numbers[here], self.windows, keys)
            numbers[here] = (first_cut + windows * np.uint64(self.seq_len)) % length
        return numbers.astype(np.int64)

    def micro_batches(self, step: int, batch_size: int, rank: int = 0, processes: int = 1) -> Iterator[Batch]:
        """The part of a step that falls to one of ``processes``, in as few batches of at most ``batch_size`` as possible.

        All processes have as many sequences; batches of one differ by one sequence at most. A mean over the
        step weighs each batch by its sequences.
        """
        assert self.sequences % processes == 0, (self.sequences, processes)
        part = np.split(self.starts(step), processes)[rank]
        for starts in np.array_split(part, math.ceil(len(part) / batch_size)):
            yield read(self.tokens, starts, self.seq_len)


def shuffled(numbers: Words, count: int, keys: Words) -> Words:
    """A one-to-one map of ``range(count)`` to itself that looks random, applied to ``numbers``.

    A Feistel network over the cells of a grid that just holds ``count``; a number that falls on one of the
    few cells beyond goes through it again (Black and Rogaway 2002, 'Ciphers with arbitrary finite domains').
    """
    rows = np.uint64(math.isqrt(count - 1) + 1)
    columns = np.uint64(-(-count // int(rows)))

    def once(cells: Words) -> Words:
        row, column = np.divmod(cells, columns)
        for left, right in keys.reshape(-1, 2):
            row = (row + _hashed(column, left) % rows) % rows
            column = (column + _hashed(row, right) % columns) % columns
        return row * columns + column

    result = once(numbers)
    while (beyond := result >= count).any():
        result[beyond] = once(result[beyond])
    return result


def _keys(seed: int, epoch: int) -> Words:
    """64-bit keys, (ROUNDS,), the same in every version of NumPy."""
    return np.random.SeedSequence([seed, epoch]).generate_state(ROUNDS, np.uint64).astype(np.uint64)


def _hashed(numbers: Words, key: np.uint64) -> Words:
    """64 bits for each number that look random: SplitMix64 (Steele, Lea and Flood 2014), started at ``key``."""
    mixed = numbers * np.uint64(0x9E3779B97F4A7C15) + key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


# ----------------------------------------------------------------------------------------------------------- validation


def validation_starts(count: int, seq_len: int, sequences: int) -> Integers:
    """Where the sequences of an evaluation begin in ``count`` tokens: (N,), always the same, spread evenly.

    There are ``sequences`` of them, or as many as fit without an overlap.
    """
    return np.linspace(0, count - 1 - seq_len, min(sequences, max(1, (count - 1) // seq_len))).astype(np.int64)


def evaluation(
    tokens: Tokens, seq_len: int, sequences: int, batch_size: int, rank: int = 0, processes: int = 1
) -> Iterator[Batch]:
    """The sequences of :func:`validation_starts`, whatever the batch; of several processes, each takes its part of them.

    Parts may differ by one sequence, and be empty: add up losses and sequences over the processes, then
    divide.
    """
    part = np.array_split(validation_starts(len(tokens), seq_len, sequences), processes)[rank]
    for first in range(0, len(part), batch_size):
        yield read(tokens, part[first : first + batch_size], seq_len)


def complete_text(
    tokens: Tokens, seq_len: int, batch_size: int, context: int = 0, rank: int = 0, processes: int = 1
) -> Iterator[Batch]:
    """Every token but the first, as a target that counts exactly once.

    Each window begins with at least ``context`` tokens whose targets counted in the window before; the last
    one reaches back as far as it must to be full. A text shorter than ``seq_len + 1`` is one window of its
    own length.

    Args:
        context: less than ``seq_len``.
        rank: of ``processes``, which take the batches in turn; weigh each by its :attr:`Batch.counted`.
    """
    length = min(seq_len, len(tokens) - 1)
    last, stride = len(tokens) - 1 - length, max(1, length - context)
    number = 1 + -(-last // stride)
    for first in range(rank * batch_size, number, processes * batch_size):
        numbers = np.arange(first, min(first + batch_size, number))
        starts = np.minimum(numbers * stride, last)
        batch = read(tokens, starts, length)
        seen = np.where(numbers > 0, (numbers - 1) * stride + length - starts, 0)  # targets of the window before
        for row, count in enumerate(seen.tolist()):
            batch.targets[row, :count] = NOT_COUNTED
        yield batch


def read(tokens: Tokens, starts: Integers, seq_len: int) -> Batch:
    """The windows that begin at ``starts`` (B,), and the token after each place."""
    windows = tokens.windows(starts, seq_len + 1)  # (B, T + 1)
    return Batch(torch.from_numpy(windows[:, :-1].copy()), torch.from_numpy(windows[:, 1:].copy()))
