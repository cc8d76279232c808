"""Whether the files of a run are what they were: a digest of each, by size and content. Standard library only.

The digest of a large file is remembered in the cache, so that it is read again only after it was written.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gpt2hydra.config.run import DataConfig, TrainConfig
from gpt2hydra.data import shards, text, tokenizer_files
from gpt2hydra.utils.paths import user_path

BLOCK = 2**20
BLOCKS = 16

LARGE = 2**24
"""Bytes of a file from which on its digest is remembered: a smaller one is read in milliseconds."""

COMPLETE = 2**30
"""Bytes of a token file up to which all of it is read. A larger one is known by 16 blocks of 1 MiB at equal distances, the
first and the last among them: a change that keeps the size and leaves these blocks as they were is not
noticed. Text is read completely, however large, as it is to be tokenized.
"""

SETTLED = 2 * 10**9
"""Nanoseconds after which a file's time of change tells it from its next content."""


@dataclass(frozen=True)
class FileDigest:
    """What a file is known by: ``digest`` is BLAKE2b, 32 hex digits, of its size and content."""

    file: str
    bytes: int
    digest: str


def file_digests(config: TrainConfig) -> list[FileDigest]:
    """The digest of each file that the tokens of a run come from: text, then tokenizer, in their order.

    Raises:
        OSError: a file cannot be read.
    """
    default = [_reference()] if config.data.path is None else []
    return default + [file_digest(file, cache_folder(config.data)) for file in _files(config)]


def file_digest(file: Path, cache: Path) -> FileDigest:
    """That of one file. Of a large one, it is remembered in the folder ``cache``.

    Raises:
        OSError: it cannot be read.
    """
    size = file.stat().st_size
    return FileDigest(str(file), size, digest(file, cache) if size >= LARGE else _complete_digest(file))


def _files(config: TrainConfig) -> Iterator[Path]:
    for path in (config.data.path, config.data.validation_path):
        if path is not None:
            yield from text.files(path)
    folder = user_path(config.tokenizer.path or "")
    if config.tokenizer.path is not None:
        yield from (file for file in tokenizer_files.in_folder(folder) if file.is_file())


def _reference() -> FileDigest:
    """The digest of the default text, which may differ between two versions of Python."""
    content = b"\0".join(text.reference())
    return FileDigest("the Python language reference", len(content), hashlib.blake2b(content, digest_size=16).hexdigest())


def digest(file: Path, cache: Path) -> str:
    """Of size and content, 32 hex digits: remembered, or computed and remembered in the folder ``cache``.

    Raises:
        OSError: the file cannot be read.
    """
    remembered = remembered_digest(file, cache)
    if remembered is not None:
        return remembered
    stat = file.stat()
    computed = _blocks_digest(file) if file.suffix == shards.SUFFIX and stat.st_size > COMPLETE else _complete_digest(file)
    if time.time_ns() - stat.st_mtime_ns > SETTLED:
        with suppress(OSError):  # it is only there to be quick
            memory = _memory(file, cache)
            memory.parent.mkdir(parents=True, exist_ok=True)
            unfinished = memory.with_name(f".{memory.name}-{os.getpid()}")
            unfinished.write_text(json.dumps([*_stamp(stat), computed]), encoding="utf-8")
            unfinished.replace(memory)
    return computed


def remembered_digest(file: Path, cache: Path) -> str | None:
    """The digest of a file that has the size and the time of change that it had when it was read, as git knows its files."""
    with suppress(OSError, ValueError):
        *stamp, known = json.loads(_memory(file, cache).read_text(encoding="utf-8"))
        if stamp == _stamp(file.stat()):
            return str(known)
    return None


def cache_folder(config: DataConfig) -> Path:
    """``data.cache_dir``, or ``gpt2hydra`` in the user's cache folder, as the XDG base directory specification names it."""
    if config.cache_dir is not None:
        return user_path(config.cache_dir)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpt2hydra"


def _complete_digest(file: Path) -> str:
    computed = _started(file)
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            computed.update(block)
    return computed.hexdigest()


def _blocks_digest(file: Path) -> str:
    computed, size = _started(file), file.stat().st_size
    with file.open("rb") as stream:
        for number in range(BLOCKS):
            stream.seek((size - BLOCK) * number // (BLOCKS - 1))
            computed.update(stream.read(BLOCK))
    return computed.hexdigest()


def _started(file: Path) -> hashlib.blake2b:
    return hashlib.blake2b(str(file.stat().st_size).encode(), digest_size=16)


def _memory(file: Path, cache: Path) -> Path:
    return cache / "digests" / hashlib.blake2b(os.fsencode(file.absolute()), digest_size=16).hexdigest()


def _stamp(stat: os.stat_result) -> list[int]:
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]
