"""The tokens of a run, read as one sequence from parts in memory or in files. Imports numpy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np
import numpy.typing as npt

from gpt2hydra.config.errors import Violation
from gpt2hydra.data.token_files import UnreadableTokens

Array = npt.NDArray[Any]
"""Token ids, (N,): uint16 or uint32."""


class TokenSource(Protocol):
    """A store of tokens: an array, or a file."""

    @property
    def count(self) -> int:
        """How many tokens there are."""

    def open(self) -> AbstractContextManager[Array]:
        """Context manager: all tokens, as an array or a view of a memory-mapped file."""


@dataclass(frozen=True, eq=False)
class InMemory:
    """Tokens in memory."""

    array: Array

    @property
    def count(self) -> int:
        """How many tokens there are."""
        return len(self.array)

    @classmethod
    def concatenate(cls, arrays: Iterable[Array]) -> InMemory:
        """Concatenate arrays."""
        return cls(np.concatenate(list(arrays)))

    @contextmanager
    def open(self) -> Iterator[Array]:
        """Context manager: the array itself."""
        yield self.array


@dataclass(frozen=True, eq=False)
class Span:
    """Tokens ``begin`` to ``end`` (excluded) of a source."""

    source: TokenSource
    begin: int
    end: int

    def __len__(self) -> int:
        return self.end - self.begin


class Tokens:
    """Consecutive spans, read as one sequence of token ids."""

    def __init__(self, spans: Iterable[Span], limit: int | None = None) -> None:
        """Args:
        limit: a token that is read must be smaller, else an error is raised.
        """
        self.spans, self.limit = [span for span in spans if len(span)], limit
        self._ends = np.cumsum([len(span) for span in self.spans], dtype=np.int64)

    @classmethod
    def of(cls, array: Array) -> Tokens:
        """The tokens of one array."""
        return cls.of_sources([InMemory(array)])

    @classmethod
    def of_sources(cls, sources: Iterable[TokenSource], limit: int | None = None) -> Tokens:
        """All tokens of ``sources``."""
        return cls((Span(source, 0, source.count) for source in sources), limit)

    @classmethod
    def split(cls, sources: Sequence[TokenSource], fraction: float, limit: int | None = None) -> tuple[Tokens, Tokens]:
        """Split each source: its last ``fraction`` is the second part, in total ``int(fraction * tokens)``."""
        beginnings, ends, before, held_out = [], [], 0, 0
        for source in sources:
            before += source.count
            cut = source.count - (int(before * fraction) - held_out)
            held_out += source.count - cut
            beginnings.append(Span(source, 0, cut))
            ends.append(Span(source, cut, source.count))
        return cls(beginnings, limit), cls(ends, limit)

    def __len__(self) -> int:
        return int(self._ends[-1]) if self.spans else 0

    def windows(self, starts: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
        """Return ``length`` tokens from each of ``starts`` (B,), wrapping around at the end: (B, length).

        Each file is opened once.

        Raises:
            UnreadableTokens: a file cannot be read, or a token is not below the limit.
        """
        result = np.empty((len(starts), length), np.int64)
        wanted: dict[int, list[tuple[int, int, int, int]]] = {}
        for row, start in enumerate(starts.tolist()):
            for number, column, begin, end in self._parts_of_window(start, length):
                wanted.setdefault(number, []).append((row, column, begin, end))
        for number, pieces in wanted.items():
            with self.spans[number].source.open() as tokens:
                for row, column, begin, end in pieces:
                    result[row, column : column + end - begin] = tokens[begin:end]
        if self.limit is not None and result.size and int(result.max()) >= self.limit:
            self._raise_invalid_token(wanted)
        return result

    def _raise_invalid_token(self, read: Mapping[int, list[tuple[int, int, int, int]]]) -> NoReturn:
        """Raise an error that names the first token that is not below the limit."""
        for number, pieces in read.items():
            source = self.spans[number].source
            with source.open() as tokens:
                for _, _, begin, end in pieces:
                    for place in (begin + np.flatnonzero(tokens[begin:end] >= self.limit)).tolist():
                        rule = f"holds {int(tokens[place]):,} as token {place:,}; the tokenizer has only {self.limit:,} symbols"
                        raise UnreadableTokens([Violation(str(getattr(source, "file", "the text")), rule=rule)])
        raise AssertionError("no such token")

    def _parts_of_window(self, start: int, length: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield each part of a window: its span's number, index in the window, begin, end in the source."""
        assert start >= 0 and length <= len(self), (start, length, len(self))
        column = 0
        while column < length:
            place = (start + column) % len(self)
            number = int(np.searchsorted(self._ends, place, side="right"))
            span = self.spans[number]
            begin = place - (int(self._ends[number]) - len(span))
            size = min(len(span) - begin, length - column)
            yield number, column, span.begin + begin, span.begin + begin + size
            column += size
