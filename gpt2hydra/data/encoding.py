"""Text files into tokens: in parallel, and with a little of the text in memory at a time. Imports numpy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from gpt2hydra.config.run import BYTES_END_OF_TEXT, VOCABULARIES, TokenizerConfig
from gpt2hydra.data import text, tokenizer
from gpt2hydra.data.tokens import Array

PIECE = 2**15
"""Characters that one core takes at a time."""

AT_ONCE = 2**20
"""Characters that all cores take at a time. The tokenizers library needs about 50 bytes for each while it works."""

Progress = Callable[[int], object]
"""Told how many more bytes of text are done."""


class Encoder:
    """A tokenizer for complete files."""

    def __init__(self, config: TokenizerConfig) -> None:
        self.bpe = None if config.name == "bytes" else tokenizer.load(config)
        size = VOCABULARIES["bytes"] if self.bpe is None else self.bpe.size
        self.dtype = np.dtype("<u2" if size <= 2**16 else "<u4")
        end = BYTES_END_OF_TEXT if self.bpe is None else self.bpe.end_of_text
        self.end_of_text = np.array([] if end is None else [end], self.dtype)

    def tokens(self, file: Path, progress: Progress = lambda count: None) -> Iterator[Array]:
        """The tokens of a file, in arrays one after the other. Each document begins with end-of-text.

        Raises:
            ConfigError: the file is not UTF-8.
        """
        for batch in _batches(_pieces(file)):
            yield self._joined(batch)
            progress(sum(len(piece.encode()) for _, piece in batch))

    def reference(self) -> Array:
        """The tokens of the default text."""
        return self._joined([(True, topic.decode()) for topic in text.reference()])

    def _joined(self, batch: list[tuple[bool, str]]) -> Array:
        encoded = self._encoded(batch)
        return np.concatenate(
            [part for begins, tokens in encoded for part in ([self.end_of_text, tokens] if begins else [tokens])]
        )

    def _encoded(self, batch: list[tuple[bool, str]]) -> Iterator[tuple[bool, Array]]:
        if self.bpe is None:
            for begins, piece in batch:
                yield begins, np.frombuffer(piece.encode(), np.uint8).astype(self.dtype)
        else:
            encoded = self.bpe.encode_batch([piece for _, piece in batch])
            for (begins, _), tokens in zip(batch, encoded, strict=True):
                yield begins, np.array(tokens, self.dtype)


def _pieces(file: Path) -> Iterator[tuple[bool, str]]:
    """The pieces of a file, each with whether a document begins with it."""
    for document in text.documents(file):
        for number, piece in enumerate(text.pieces(document, PIECE)):
            yield number == 0, piece


def _batches(pieces: Iterator[tuple[bool, str]]) -> Iterator[list[tuple[bool, str]]]:
    batch, size, full = [], 0, max(AT_ONCE, PIECE * (os.cpu_count() or 1))
    for begins, piece in pieces:
        batch.append((begins, piece))
        size += len(piece)
        if size >= full:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
