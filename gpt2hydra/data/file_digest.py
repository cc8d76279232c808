"""Whether the files of a run are what they were: a mark of each, by size and content. Standard library only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gpt2hydra.config.run import TrainConfig
from gpt2hydra.data import text, tokenizer_files

BLOCK = 2**20
BLOCKS = 16
"""A file of more than 16 MiB is known by 16 blocks of 1 MiB, the first and the last among them, in equal distances: a terabyte
is marked in the time of 16 MiB. A change that keeps the size and leaves all of these blocks as they were is not noticed."""


@dataclass(frozen=True)
class Mark:
    """What a file is known by: ``digest`` is BLAKE2b, 32 hex digits, of its size and of its blocks."""

    file: str
    bytes: int
    digest: str


def marks(config: TrainConfig) -> list[Mark]:
    """The mark of each file that the tokens of a run come from: text, then tokenizer, in their order.

    Raises:
        OSError: a file cannot be read.
    """
    default = [_reference()] if config.data.path is None else []
    return default + [mark(file) for file in _files(config)]


def _files(config: TrainConfig) -> Iterator[Path]:
    for path in (config.data.path, config.data.validation_path):
        if path is not None:
            yield from text.files(path)
    folder = Path(config.tokenizer.path or "").expanduser()
    if config.tokenizer.path is not None:
        yield from (file for file in tokenizer_files.in_folder(folder) if file.is_file())


def mark(file: Path) -> Mark:
    """The mark of one file.

    Raises:
        OSError: it cannot be read.
    """
    size = file.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with file.open("rb") as stream:
        if size <= BLOCK * BLOCKS:
            while block := stream.read(BLOCK):
                digest.update(block)
        else:
            for number in range(BLOCKS):
                stream.seek((size - BLOCK) * number // (BLOCKS - 1))
                digest.update(stream.read(BLOCK))
    return Mark(str(file), size, digest.hexdigest())


def _reference() -> Mark:
    """The mark of the default text, which may differ between two versions of Python."""
    content = b"\0".join(text.reference())
    return Mark("the Python language reference", len(content), hashlib.blake2b(content, digest_size=16).hexdigest())
