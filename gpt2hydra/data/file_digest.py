"""Digests of the files of a run, to notice changes of size or content. Standard library only.

The digest of a large file is cached, so the file is read again only after it was written.
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
from gpt2hydra.data import text, token_files, tokenizer_files
from gpt2hydra.utils.paths import user_path

BLOCK_BYTES = 2**20
BLOCKS = 16

MIN_CACHED_BYTES = 2**24
"""Smallest file whose digest is cached; a smaller one is read in milliseconds."""

MAX_COMPLETE_BYTES = 2**30
"""Largest token file that is read completely. Of a larger one, 16 evenly spaced blocks of 1 MiB are read, the
first and the last included: a change of other bytes that keeps the size is not noticed. Text of any size is
read completely, because it is tokenized too.
"""

MIN_AGE_NANOSECONDS = 2 * 10**9
"""Age from which a modification time is trusted: a file may change twice within a tick of its clock."""


@dataclass(frozen=True)
class FileDigest:
    """The identity of a file: ``digest`` is BLAKE2b of its size and content, 32 hex digits."""

    file: str
    bytes: int
    digest: str


def file_digests(config: TrainConfig) -> list[FileDigest]:
    """Return the digest of each file of the text, then of each file of the tokenizer, in order.

    Raises:
        OSError: a file cannot be read.
    """
    default = [_reference_digest()] if config.data.path is None else []
    return default + [file_digest(file, cache_folder(config.data)) for file in _files(config)]


def file_digest(file: Path, cache: Path) -> FileDigest:
    """Return the digest of one file; that of a large file is cached in the folder ``cache``.

    Raises:
        OSError: the file cannot be read.
    """
    size = file.stat().st_size
    return FileDigest(str(file), size, content_digest(file, cache) if size >= MIN_CACHED_BYTES else _complete_digest(file))


def _files(config: TrainConfig) -> Iterator[Path]:
    for path in (config.data.path, config.data.validation_path):
        if path is not None:
            yield from text.files(path)
    folder = user_path(config.tokenizer.path or "")
    if config.tokenizer.path is not None:
        yield from (file for file in tokenizer_files.files_in_folder(folder) if file.is_file())


def _reference_digest() -> FileDigest:
    """Return the digest of the default text, which may differ between versions of Python."""
    content = b"\0".join(text.reference())
    return FileDigest("the Python language reference", len(content), hashlib.blake2b(content, digest_size=16).hexdigest())


def content_digest(file: Path, cache: Path) -> str:
    """Return the digest of size and content, 32 hex digits; it is cached in the folder ``cache``.

    Raises:
        OSError: the file cannot be read.
    """
    cached = cached_digest(file, cache)
    if cached is not None:
        return cached
    stat = file.stat()
    computed = (
        _blocks_digest(file)
        if file.suffix == token_files.SUFFIX and stat.st_size > MAX_COMPLETE_BYTES
        else _complete_digest(file)
    )
    if time.time_ns() - stat.st_mtime_ns > MIN_AGE_NANOSECONDS:
        with suppress(OSError):  # the cache only saves time
            cache_file = _cache_file(file, cache)
            cache_file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = cache_file.with_name(f".{cache_file.name}-{os.getpid()}")
            unfinished.write_text(json.dumps([*_stamp(stat), computed]), encoding="utf-8")
            unfinished.replace(cache_file)
    return computed


def cached_digest(file: Path, cache: Path) -> str | None:
    """Return the cached digest if size, modification time and inode are the same (as in git); else None."""
    with suppress(OSError, ValueError):
        *stamp, known = json.loads(_cache_file(file, cache).read_text(encoding="utf-8"))
        if stamp == _stamp(file.stat()):
            return str(known)
    return None


def cache_folder(config: DataConfig) -> Path:
    """Return ``data.cache_dir``, or ``gpt2hydra`` in the user's cache folder (by the XDG specification)."""
    if config.cache_dir is not None:
        return user_path(config.cache_dir)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpt2hydra"


def _complete_digest(file: Path) -> str:
    computed = _start_digest(file)
    with file.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            computed.update(block)
    return computed.hexdigest()


def _blocks_digest(file: Path) -> str:
    computed, size = _start_digest(file), file.stat().st_size
    with file.open("rb") as stream:
        for number in range(BLOCKS):
            stream.seek((size - BLOCK_BYTES) * number // (BLOCKS - 1))
            computed.update(stream.read(BLOCK_BYTES))
    return computed.hexdigest()


def _start_digest(file: Path) -> hashlib.blake2b:
    return hashlib.blake2b(str(file.stat().st_size).encode(), digest_size=16)


def _cache_file(file: Path, cache: Path) -> Path:
    return cache / "digests" / hashlib.blake2b(os.fsencode(file.absolute()), digest_size=16).hexdigest()


def _stamp(stat: os.stat_result) -> list[int]:
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]
