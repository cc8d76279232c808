"""Tokenize text files in parallel, with only a small part of the text in memory. Imports numpy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from gpt2hydra.config.run import BYTES_END_OF_TEXT, VOCABULARY_SIZES, TokenizerConfig
from gpt2hydra.data import text, tokenizer
from gpt2hydra.data.tokens import Array

PIECE_CHARACTERS = 2**15
"""Characters that one core tokenizes at a time."""

BATCH_CHARACTERS = 2**20
"""Characters that all cores tokenize at a time; tokenizers uses about 50 bytes of memory for each."""

ProgressCallback = Callable[[int], object]
"""Is called with the number of bytes tokenized since the last call."""


class Encoder:
    """Tokenizes complete files."""

    def __init__(self, config: TokenizerConfig) -> None:
        self.bpe = None if config.name == "bytes" else tokenizer.load(config)
        size = VOCABULARY_SIZES["bytes"] if self.bpe is None else self.bpe.size
        self.dtype = np.dtype("<u2" if size <= 2**16 else "<u4")
        end = BYTES_END_OF_TEXT if self.bpe is None else self.bpe.end_of_text
        self.end_of_text = np.array([] if end is None else [end], self.dtype)

    def tokens(self, file: Path, progress: ProgressCallback = lambda count: None) -> Iterator[Array]:
        """Yield the tokens of a file as consecutive arrays. Each document begins with end-of-text.

        Raises:
            ConfigError: the file is not UTF-8.
        """
        for batch in _batches(_pieces(file)):
            yield self._encode(batch)
            progress(sum(len(piece.encode()) for _, piece in batch))

    def reference(self) -> Array:
        """Return the tokens of the default text."""
        return self._encode([(True, topic.decode()) for topic in text.reference()])

    def _encode(self, batch: list[tuple[bool, str]]) -> Array:
        encoded = self._encode_pieces(batch)
        return np.concatenate(
            [part for begins, tokens in encoded for part in ([self.end_of_text, tokens] if begins else [tokens])]
        )

    def _encode_pieces(self, batch: list[tuple[bool, str]]) -> Iterator[tuple[bool, Array]]:
        if self.bpe is None:
            for begins, piece in batch:
                yield begins, np.frombuffer(piece.encode(), np.uint8).astype(self.dtype)
        else:
            encoded = self.bpe.encode_batch([piece for _, piece in batch])
            for (begins, _), tokens in zip(batch, encoded, strict=True):
                yield begins, np.array(tokens, self.dtype)


def _pieces(file: Path) -> Iterator[tuple[bool, str]]:
    """Yield ``(begins a document, text)`` of each piece of a file."""
    for document in text.documents(file):
        for number, piece in enumerate(text.pieces(document, PIECE_CHARACTERS)):
            yield number == 0, piece


def _batches(pieces: Iterator[tuple[bool, str]]) -> Iterator[list[tuple[bool, str]]]:
    batch, size, full = [], 0, max(BATCH_CHARACTERS, PIECE_CHARACTERS * (os.cpu_count() or 1))
    for begins, piece in pieces:
        batch.append((begins, piece))
        size += len(piece)
        if size >= full:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
