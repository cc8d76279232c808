"""The tokens of a run: in memory or in files, cut into spans, and read as one sequence. Imports numpy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""Token ids, (N,): uint16 or uint32."""


class Source(Protocol):
    """Where tokens lie: an array, or a file."""

    @property
    def count(self) -> int:
        """How many tokens there are."""

    @contextmanager
    def open(self) -> Iterator[Array]:
        """All of them, as an array or a view of the file that is read where it is looked at."""


@dataclass(frozen=True, eq=False)
class InMemory:
    """Tokens that were computed just now."""

    array: Array

    @property
    def count(self) -> int:
        """How many tokens there are."""
        return len(self.array)

    @contextmanager
    def open(self) -> Iterator[Array]:
        """The array itself."""
        yield self.array


@dataclass(frozen=True, eq=False)
class Span:
    """Tokens ``begin`` to ``end`` (excluded) of a source."""

    source: Source
    begin: int
    end: int

    def __len__(self) -> int:
        return self.end - self.begin


class Tokens:
    """Spans, one after the other, as one sequence of token ids."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self.spans = [span for span in spans if len(span)]
        self._ends = np.cumsum([len(span) for span in self.spans], dtype=np.int64)

    @classmethod
    def of(cls, array: Array) -> Tokens:
        """Those of an array."""
        return cls([Span(InMemory(array), 0, len(array))])

    def __len__(self) -> int:
        return int(self._ends[-1]) if self.spans else 0

    def windows(self, starts: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
        """``length`` tokens from each of ``starts`` (B,) on: (B, length). Each file is opened once, and closed after it."""
        result = np.empty((len(starts), length), np.int64)
        wanted: dict[int, list[tuple[int, int, int, int]]] = {}
        for row, start in enumerate(starts.tolist()):
            for number, column, begin, end in self._pieces(start, length):
                wanted.setdefault(number, []).append((row, column, begin, end))
        for number, pieces in wanted.items():
            with self.spans[number].source.open() as tokens:
                for row, column, begin, end in pieces:
                    result[row, column : column + end - begin] = tokens[begin:end]
        return result

    def _pieces(self, start: int, length: int) -> Iterator[tuple[int, int, int, int]]:
        """Of one window: number of the span, place in the window, and where in the span's source it begins and ends."""
        assert start >= 0 and start + length <= len(self), (start, length, len(self))
        number, column = int(np.searchsorted(self._ends, start, side="right")), 0
        while column < length:
            span = self.spans[number]
            begin = start + column - (int(self._ends[number]) - len(span))
            size = min(len(span) - begin, length - column)
            yield number, column, span.begin + begin, span.begin + begin + size
            number, column = number + 1, column + size
