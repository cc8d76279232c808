"""Text files: which ones a path names, whether they will do, and what they hold, piece by piece. Standard library only."""

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
"""So much of each file is checked to be UTF-8 before a run begins; the rest when it is tokenized."""

BLOCK = 2**20

# -------------------------------------------------------------------------------------------------------- which files


def files(path: str) -> list[Path]:
    """The files that a path names, sorted: one, or those that a glob (``*``, ``?``, ``[]``, ``**``) matches."""
    plain = user_path(path)
    if plain.exists() or not glob.has_magic(path):
        return [plain]
    return sorted(file for file in map(Path, glob.glob(str(plain), recursive=True)) if file.is_file())


def similar(path: Path, fits: Callable[[Path], bool] | None = None) -> Path | None:
    """A file or folder next to a missing path, with a similar name, that ``fits``: by default a file that is not empty."""
    fits = fits or (lambda each: each.is_file() and each.stat().st_size > 0)
    try:
        names = [each.name for each in path.parent.iterdir()]
        near = (path.parent / name for name in difflib.get_close_matches(path.name, names, cutoff=0.75))
        return next((each for each in near if fits(each)), None)
    except OSError:
        return None


def size(file: Path) -> tuple[int, bool]:
    """The bytes of its text, and whether that is exact: of parquet, which is compressed, it is not."""
    return (parquet.size(file), False) if file.suffix == parquet.SUFFIX else (file.stat().st_size, True)


def problem(file: Path) -> str:
    """Why a file holds no text that can be read, as far as its first :data:`CHECKED_BYTES` tell; empty if it does."""
    if file.suffix == parquet.SUFFIX:
        return parquet.problem(file)
    stat = file.stat()
    return _not_utf8(file, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=10_000)
def _not_utf8(file: Path, size: int, modified: int) -> str:
    """Size and time of change only tell the cache that a file is new."""
    try:
        for _ in _decoded(file, CHECKED_BYTES):
            pass
    except _NotUtf8 as rule:
        return str(rule)
    return ""


# ------------------------------------------------------------------------------------------------------ what they hold


@functools.cache
def reference() -> tuple[bytes, ...]:
    """The Python language reference, which ships with CPython for ``help()``: about 700 KB of English, by topics.

    Raises:
        ImportError: this Python came without it, as in some distributions.
    """
    from pydoc_data.topics import topics  # absent from some distributions of Python

    return tuple(topics[name].encode() for name in sorted(topics))


def sizes(path: str | None) -> list[int]:
    """The bytes of each document."""
    found = [file.stat().st_size for file in files(path)] if path is not None else [len(text) for text in reference()]
    return [size for size in found if size]


def documents(file: Path) -> Iterator[Iterator[str]]:
    """The documents of a file, each a block at a time: one of a text file, one for each row of parquet.

    Raises:
        ConfigError: it is not UTF-8.
    """
    if file.suffix == parquet.SUFFIX:
        yield from (iter([row]) for row in parquet.rows(file))
    else:
        yield blocks(file)


def blocks(file: Path) -> Iterator[str]:
    """The text of a file, a block at a time.

    Raises:
        ConfigError: it is not UTF-8.
    """
    try:
        yield from _decoded(file)
    except _NotUtf8 as rule:
        raise ConfigError([Violation(str(file), rule=str(rule))]) from None


class _NotUtf8(Exception):
    """The rule that a file breaks which is not UTF-8."""

    def __init__(self, where: int) -> None:
        super().__init__(f"must be UTF-8; byte {where:,} is not (iconv -f LATIN1 -t UTF-8 converts, if that is what it is)")


def _decoded(file: Path, most: float = math.inf) -> Iterator[str]:
    """The text of about the first ``most`` bytes, a block at a time."""
    decoder, done = codecs.getincrementaldecoder("utf-8")(), 0
    with file.open("rb") as stream:
        while done < most:
            block = stream.read(BLOCK)
            held = len(decoder.getstate()[0])  # bytes of a character that the last block cut
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise _NotUtf8(done - held + error.start) from None
            if not block:
                return
            yield text
            done += len(block)


# --------------------------------------------------------------------------------------------------------- in pieces

_PLACE_TO_CUT = re.compile(
    r"(?<=\S)\n(?=\S)"  # after a lone newline between two words
    r"|(?<=\S)(?= \S)"  # before a lone space, which belongs to the word after it
    r"|(?<=[^\W\d_])(?=[^\w\s'])"  # between a letter and a punctuation mark, where a script has no spaces
)
"""Where GPT-2's pattern cuts too, whatever stands around it, so that the pieces have the tokens of the text."""


def pieces(texts: Iterator[str], size: int) -> Iterator[str]:
    """A text that comes in blocks, in pieces of about ``size`` characters that can be tokenized each by itself.

    A text without a place to cut for 20 times ``size`` is cut anywhere: one token more, at the most.
    """
    waiting = ""
    for text in texts:
        waiting += text
        start = 0
        while len(waiting) - start > size:
            cut = _PLACE_TO_CUT.search(waiting, start + size)
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
