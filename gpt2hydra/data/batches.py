"""The tokens of each step: numbered windows of the text, which depend only on the seed. Imports torch.

A step of ``S`` sequences (steps are counted from 0) reads sequences ``step * S`` to ``step * S + S - 1``. The
start of sequence ``n`` depends only on the seed and ``n``. So there is no state to save, and a run can
continue at any step with any number of processes.
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

Int64Array = npt.NDArray[np.int64]
Uint64Array = npt.NDArray[np.uint64]

IGNORE_INDEX = -100
"""Target that is not part of the loss: ``ignore_index`` of ``torch.nn.functional.cross_entropy``."""

FEISTEL_ROUNDS = 8
"""Rounds of the Feistel network that shuffles. Four are enough to look random (Luby and Rackoff 1988)."""


class Batch(NamedTuple):
    """The sequences of one forward pass."""

    inputs: torch.Tensor
    """Tokens, (B, T), int64."""
    targets: torch.Tensor
    """The next token for each input, (B, T), int64; :data:`IGNORE_INDEX` if the input is only context."""

    @property
    def counted(self) -> int:
        """The number of targets that are part of the loss."""
        return int((self.targets != IGNORE_INDEX).sum())


# ------------------------------------------------------------------------------------------------------------- training


@dataclass(frozen=True)
class SequenceSampler:
    """The sequences of every step of a run.

    ``shuffled``: the text is a circle, cut into windows of ``seq_len`` tokens. Each epoch has another random
    offset and another random order, and reads every window once. ``random``: each sequence begins at a random
    token, drawn with replacement, as in nanoGPT.
    """

    tokens: Tokens
    seq_len: int
    sequences: int
    """Sequences of one step, of all processes together."""
    seed: int
    kind: str = "shuffled"

    @property
    def windows_per_epoch(self) -> int:
        """Windows of one epoch. Up to ``seq_len - 1`` tokens are skipped, different ones in each epoch."""
        return len(self.tokens) // self.seq_len

    def starts(self, step: int) -> Int64Array:
        """Return the first token of each sequence of a step, as positions in the text: (S,)."""
        numbers = np.arange(step * self.sequences, (step + 1) * self.sequences, dtype=np.uint64)
        if self.kind == "random":
            places = len(self.tokens) - self.seq_len  # the last target of the last one is the last token
            return (_hashed(numbers, _keys(self.seed, 0)[0]) % np.uint64(places)).astype(np.int64)
        length = np.uint64(len(self.tokens))
        epochs, numbers = np.divmod(numbers, np.uint64(self.windows_per_epoch))
        for epoch in np.unique(epochs):
            in_epoch, keys = epochs == epoch, _keys(self.seed, int(epoch))
            first_cut = _hashed(keys[:1], keys[1]) % length
            windows = permute(numbers[in_epoch], self.windows_per_epoch, keys)
            numbers[in_epoch] = (first_cut + windows * np.uint64(self.seq_len)) % length
        return numbers.astype(np.int64)

    def micro_batches(self, step: int, batch_size: int, rank: int = 0, processes: int = 1) -> Iterator[Batch]:
        """Yield the part of a step that process ``rank`` computes, in as few micro-batches as possible.

        All processes have the same number of sequences. The micro-batches of a process have at most
        ``batch_size`` sequences and differ by at most one. To get the mean of a step, weight each by its
        number of sequences.
        """
        assert self.sequences % processes == 0, (self.sequences, processes)
        part = np.split(self.starts(step), processes)[rank]
        for starts in np.array_split(part, math.ceil(len(part) / batch_size)):
            yield read_windows(self.tokens, starts, self.seq_len)


def permute(numbers: Uint64Array, count: int, keys: Uint64Array) -> Uint64Array:
    """Map ``numbers`` by a permutation of ``range(count)`` that looks random and depends on ``keys``.

    It is a Feistel network over the smallest grid with at least ``count`` cells. A result that is not below
    ``count`` is mapped again (Black and Rogaway 2002, 'Ciphers with arbitrary finite domains').
    """
    rows = np.uint64(math.isqrt(count - 1) + 1)
    columns = np.uint64(-(-count // int(rows)))

    def permute_cells(cells: Uint64Array) -> Uint64Array:
        row, column = np.divmod(cells, columns)
        for left, right in keys.reshape(-1, 2):
            row = (row + _hashed(column, left) % rows) % rows
            column = (column + _hashed(row, right) % columns) % columns
        return row * columns + column

    result = permute_cells(numbers)
    while (beyond := result >= count).any():
        result[beyond] = permute_cells(result[beyond])
    return result


def _keys(seed: int, epoch: int) -> Uint64Array:
    """Return 64-bit keys, (FEISTEL_ROUNDS,); they are the same in every version of NumPy."""
    return np.random.SeedSequence([seed, epoch]).generate_state(FEISTEL_ROUNDS, np.uint64).astype(np.uint64)


def _hashed(numbers: Uint64Array, key: np.uint64) -> Uint64Array:
    """Return 64 random-looking bits for each number: SplitMix64 from ``key`` (Steele, Lea, Flood 2014)."""
    mixed = numbers * np.uint64(0x9E3779B97F4A7C15) + key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


# ----------------------------------------------------------------------------------------------------------- validation


def validation_starts(count: int, seq_len: int, sequences: int) -> Int64Array:
    """Return the first token of each sequence of an evaluation, evenly spaced in ``count`` tokens: (N,).

    N is ``sequences``, or the number that fits without overlap if that is smaller. There is no randomness.
    """
    return np.linspace(0, count - 1 - seq_len, min(sequences, max(1, (count - 1) // seq_len))).astype(np.int64)


def validation_batches(
    tokens: Tokens, seq_len: int, sequences: int, batch_size: int, rank: int = 0, processes: int = 1
) -> Iterator[Batch]:
    """Yield the part of the sequences of :func:`validation_starts` that process ``rank`` evaluates.

    The sequences do not depend on ``batch_size``. The parts may differ by one sequence and may be empty: add
    up losses and sequences over the processes, then divide.
    """
    part = np.array_split(validation_starts(len(tokens), seq_len, sequences), processes)[rank]
    for first in range(0, len(part), batch_size):
        yield read_windows(tokens, part[first : first + batch_size], seq_len)


def complete_text_batches(
    tokens: Tokens, seq_len: int, batch_size: int, context: int = 0, rank: int = 0, processes: int = 1
) -> Iterator[Batch]:
    """Yield every token except the first as a target that is part of the loss exactly once.

    Windows overlap by at least ``context`` tokens, and a target in the overlap is part of the loss only in
    the first of the two. The last window begins early enough to be full. A text shorter than ``seq_len + 1``
    is one window of its own length.

    Args:
        context: less than ``seq_len``.
        rank: number of this process of ``processes``, which take turns; weight each batch by
            :attr:`Batch.counted`.
    """
    length = min(seq_len, len(tokens) - 1)
    last, stride = len(tokens) - 1 - length, max(1, length - context)
    number = 1 + -(-last // stride)
    for first in range(rank * batch_size, number, processes * batch_size):
        numbers = np.arange(first, min(first + batch_size, number))
        starts = np.minimum(numbers * stride, last)
        batch = read_windows(tokens, starts, length)
        seen = np.where(numbers > 0, (numbers - 1) * stride + length - starts, 0)  # targets of the window before
        for row, count in enumerate(seen.tolist()):
            batch.targets[row, :count] = IGNORE_INDEX
        yield batch


def read_windows(tokens: Tokens, starts: Int64Array, seq_len: int) -> Batch:
    """Return the windows that begin at ``starts`` (B,), and the next token for each of their tokens."""
    windows = tokens.windows(starts, seq_len + 1)  # (B, T + 1)
    return Batch(torch.from_numpy(windows[:, :-1].copy()), torch.from_numpy(windows[:, 1:].copy()))
