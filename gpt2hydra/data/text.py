"""Text files: find the files of a path, check them, and read them in pieces. Standard library only."""

from __future__ import annotations

import codecs
import difflib
import functools
import glob
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.data import parquet
from gpt2hydra.utils.paths import user_path

CHECKED_BYTES = 256 * 2**20
"""Bytes of each file that are checked to be UTF-8 before a run; the rest is checked when tokenized."""

BLOCK_BYTES = 2**20

# -------------------------------------------------------------------------------------------------------- which files


def files(path: str) -> list[Path]:
    """Return the file of a path, or the sorted files that match a glob (``*``, ``?``, ``[]``, ``**``)."""
    plain = user_path(path)
    if plain.exists() or not glob.has_magic(path):
        return [plain]
    return sorted(file for file in map(Path, glob.glob(str(plain), recursive=True)) if file.is_file())


def find_similar(path: Path, fits: Callable[[Path], bool] | None = None) -> Path | None:
    """Return a path with a similar name in the same folder that ``fits`` (default: a nonempty file), or None."""
    fits = fits or (lambda each: each.is_file() and each.stat().st_size > 0)
    try:
        names = [each.name for each in path.parent.iterdir()]
        near = (path.parent / name for name in difflib.get_close_matches(path.name, names, cutoff=0.75))
        return next((each for each in near if fits(each)), None)
    except OSError:
        return None


def size(file: Path) -> tuple[int, bool]:
    """Return the bytes of a file's text, and whether the number is exact: it is not for parquet (compressed)."""
    return (parquet.size(file), False) if file.suffix == parquet.SUFFIX else (file.stat().st_size, True)


def problem(file: Path) -> str:
    """Return why a file has no readable text, from its first :data:`CHECKED_BYTES`; empty if it has."""
    if file.suffix == parquet.SUFFIX:
        return parquet.problem(file)
    stat = file.stat()
    return _utf8_problem(file, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=10_000)
def _utf8_problem(file: Path, size: int, modified: int) -> str:
    """Return the rule of a file that is not UTF-8, or empty.

    ``size`` and ``modified`` are in the key of the cache.
    """
    try:
        for _ in _decode(file, CHECKED_BYTES):
            pass
    except _NotUtf8 as rule:
        return str(rule)
    return ""


# ------------------------------------------------------------------------------------------------------- their content


@functools.cache
def reference() -> tuple[bytes, ...]:
    """Return the topics of the Python language reference, from CPython's ``help()``: 0.5 MB of English.

    Raises:
        ImportError: this Python does not have it, as in some distributions.
    """
    from pydoc_data.topics import topics  # some distributions of Python do not have it

    return tuple(topics[name].encode() for name in sorted(topics))


def max_tokens(path: str | None) -> int | None:
    """Return the most tokens that a text can have: its bytes, and end-of-text before each document.

    None for parquet, whose bytes and documents are not counted.
    """
    if path is None:
        return sum(len(document) + 1 for document in reference())
    sizes = [size(file) for file in files(path)]
    return sum(count + 1 for count, _ in sizes) if all(exact for _, exact in sizes) else None


def is_one_document(path: str | None) -> bool:
    """Return whether a text is a single document: one text file that is not empty."""
    found = [file for file in files(path) if file.stat().st_size] if path is not None else []
    return len(found) == 1 and found[0].suffix != parquet.SUFFIX


def documents(file: Path) -> Iterator[Iterator[str]]:
    """Yield the blocks of each document of a file: a text file is one document, so is a row of parquet.

    Raises:
        ConfigError: the file is not UTF-8.
    """
    if file.suffix == parquet.SUFFIX:
        yield from (iter([row]) for row in parquet.rows(file))
    else:
        yield read_blocks(file)


def read_blocks(file: Path) -> Iterator[str]:
    """Yield the text of a file in blocks.

    Raises:
        ConfigError: the file is not UTF-8.
    """
    try:
        yield from _decode(file)
    except _NotUtf8 as rule:
        raise ConfigError([Violation(str(file), rule=str(rule))]) from None


class _NotUtf8(Exception):
    """A file is not UTF-8; the message is the rule of a violation."""

    def __init__(self, where: int) -> None:
        super().__init__(f"must be UTF-8; byte {where:,} is not (if it is Latin-1, convert it: iconv -f LATIN1 -t UTF-8)")


def _decode(file: Path, most: float = math.inf) -> Iterator[str]:
    """Yield the text of about the first ``most`` bytes in blocks."""
    decoder, done = codecs.getincrementaldecoder("utf-8")(), 0
    with file.open("rb") as stream:
        while done < most:
            block = stream.read(BLOCK_BYTES)
            held = len(decoder.getstate()[0])  # bytes of a character that continues in this block
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise _NotUtf8(done - held + error.start) from None
            if not block:
                return
            yield text
            done += len(block)


# --------------------------------------------------------------------------------------------------------- in pieces

_BOUNDARY = re.compile(
    r"(?<=\S)\n(?=\S)"  # after a lone newline between two words
    r"|(?<=\S)(?= \S)"  # before a lone space, which belongs to the word after it
    r"|(?<=[^\W\d_])(?=[^\w\s'])"  # between a letter and a punctuation mark, for scripts without spaces
)
"""Boundaries at which GPT-2's pattern always splits, so the tokens of the pieces are those of the text."""


def pieces(texts: Iterator[str], size: int) -> Iterator[str]:
    """Split blocks of text into pieces of about ``size`` characters that can be tokenized separately.

    After 20 times ``size`` without a boundary the text is cut anywhere: this adds at most one token.
    """
    waiting = ""
    for text in texts:
        waiting += text
        start = 0
        while len(waiting) - start > size:
            cut = _BOUNDARY.search(waiting, start + size)
            if cut is not None and cut.end() < len(waiting):
                end = cut.end()
            elif len(waiting) - start > 20 * size:
                end = start + 20 * size
            else:
                break
            yield waiting[start:end]
            start = end
        waiting = waiting[start:]
    if waiting:
        yield waiting
