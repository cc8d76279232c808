"""Token files of GPT-2 trainers; the first bytes show the format. Needs numpy only to read tokens.

==========================  =============================================================================================
llm.c, modded-nanogpt       int32[256]: 20240520, 1, number of tokens, zeros; then uint16 (``llm.c dev/data/data_common.py``)
llm.c, larger vocabularies  int32[256]: 20240801, 7, number of tokens, zeros; then uint32
NeMo AutoModel              int32[256]: 278895051, 1, number of tokens, bytes of one (2 or 4), zeros; then the tokens
nanoGPT                     uint16 from the first byte on (``nanoGPT data/*/prepare.py``)
==========================  =============================================================================================

All numbers are little-endian. Documents begin with end-of-text.
"""

from __future__ import annotations

import codecs
import functools
import struct
import sys
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.utils.formatting import error_reason

if TYPE_CHECKING:
    import numpy.typing as npt

SUFFIX = ".bin"
HEADER = struct.Struct("<256i")


class Layout(NamedTuple):
    """The version in the header, and the bytes of a token; None: the fourth number of the header."""

    version: int
    width: int | None


LLMC, LLMC_WIDE, NEMO = 20240520, 20240801, 278895051
LAYOUTS = {LLMC: Layout(1, 2), LLMC_WIDE: Layout(7, 4), NEMO: Layout(1, None)}
"""The first number of a header → its layout."""

OTHER_HEADERS = {20240326: "llm.c's weights", 20240327: "llm.c's debug state", 20240522: "llm.c's multiple-choice questions"}
OTHER_MAGIC = {b"PK\x03\x04": "a zip archive, as PyTorch's weights are", b"\x80\x02": "a pickle", b"\x7fELF": "a program"}

MAX_TOKENS = 2**30
"""Most tokens in a file that we write; the header can count to 2^31 - 1."""

CHECKED_BYTES = 2**18
"""Bytes at the beginning of each file that are checked before a run; the rest is checked when it is read."""


@dataclass(frozen=True)
class TokenFile:
    """A token file: ``count`` tokens of ``width`` bytes each, from byte ``start`` on."""

    file: Path
    start: int
    width: int
    count: int

    @contextmanager
    def open(self) -> Iterator[npt.NDArray[Any]]:
        """Context manager: the tokens, (count,), a view of the memory-mapped file that is valid inside only.

        Open it for each batch and close it after that: then memory does not grow with the tokens read, many
        files do not need many descriptors, and a change of the size is noticed.

        Raises:
            UnreadableTokens: the file changed its size or cannot be read.
        """
        import numpy as np  # not needed to read the header

        try:
            if self.file.stat().st_size != self.start + self.count * self.width:
                raise UnreadableTokens([Violation(str(self.file), rule="changed its size after the run began")])
            yield np.memmap(self.file, f"<u{self.width}", "r", self.start, (self.count,)).view(np.ndarray)
        except OSError as error:
            raise UnreadableTokens(
                [Violation(str(self.file), rule=f"cannot be read any more: {error_reason(error)}")]
            ) from None


class UnreadableTokens(ConfigError):
    """During a run, tokens cannot be read any more, or are not in the tokenizer's vocabulary."""


class NotTokenFile(Exception):
    """A file is not a readable token file; the message is the rule of a violation."""


def recognise(file: Path) -> TokenFile:
    """Find the format of a token file from its first bytes and its size.

    Raises:
        NotTokenFile: the file is not a token file, or is empty, truncated, or of an unknown version.
        OSError: the file cannot be read.
    """
    stat = file.stat()
    return _recognise(file, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=100_000)
def _recognise(file: Path, size: int, modified: int) -> TokenFile:
    with file.open("rb") as stream:
        head = stream.read(4096)
    if not head:
        raise NotTokenFile("is empty")
    other = (
        next((what for magic, what in OTHER_MAGIC.items() if head.startswith(magic)), None)
        or _text_hint(head)
        or _megatron_hint(file)
    )
    if other:
        raise NotTokenFile(f"is {other}; must hold tokens as nanoGPT or llm.c writes them")
    if len(head) >= HEADER.size:
        magic, version, count, width, *rest = HEADER.unpack_from(head)
        if magic in LAYOUTS:
            return _with_header(file, size, LAYOUTS[magic], version, count, width)
        if struct.unpack(">i", head[:4])[0] in LAYOUTS:
            raise NotTokenFile("is big-endian; must be little-endian")
        if magic in OTHER_HEADERS or (not any(rest) and any((magic, version, count))):
            raise NotTokenFile(f"has the header of {OTHER_HEADERS.get(magic, f'another format (it begins with {magic})')}")
    if size % 2:
        raise NotTokenFile(f"has {size:,} bytes and no header, but tokens have two bytes; is it truncated?")
    return TokenFile(file, 0, 2, size // 2)


def _with_header(file: Path, size: int, layout: Layout, version: int, count: int, width: int) -> TokenFile:
    if version != layout.version:
        raise NotTokenFile(f"has a header of version {version}; only {layout.version} can be read")
    width = layout.width or width
    if width not in (2, 4):
        raise NotTokenFile(f"has a header with tokens of {width} bytes; must be 2 or 4")
    content_bytes = size - HEADER.size
    if count <= 0 or content_bytes != count * width:
        raise NotTokenFile(
            f"has {content_bytes / width:,.15g} tokens, but its header says {count:,}"
            + "; is it truncated?" * (content_bytes < count * width)
        )
    return TokenFile(file, HEADER.size, width, count)


def _text_hint(head: bytes) -> str:
    """Return a hint if a file is UTF-8 text, else empty.

    Token files have control characters, such as zeros, at their beginning.
    """
    if len(head) < 64 or (set(range(32)) - set(b"\t\n\r\f")) & set(head):
        return ""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return ""
    return "a text; give it a name that does not end in .bin"


def _megatron_hint(file: Path) -> str:
    index = file.with_suffix(".idx")
    if not index.is_file():
        return ""
    with index.open("rb") as stream:
        return "one of Megatron's, with an .idx next to it" if stream.read(7) == b"MMIDIDX" else ""


def highest_token(token_file: TokenFile) -> int:
    """Return the highest token in the first :data:`CHECKED_BYTES` bytes."""
    return _highest_token(token_file, token_file.file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=100_000)
def _highest_token(token_file: TokenFile, modified: int) -> int:
    with token_file.file.open("rb") as stream:
        stream.seek(token_file.start)
        tokens = array(
            "H" if token_file.width == 2 else "I", stream.read(min(CHECKED_BYTES, token_file.count * token_file.width))
        )
    if sys.byteorder == "big":
        tokens.byteswap()
    return max(tokens)


def header(count: int, width: int) -> bytes:
    """Return the first 1,024 bytes of a file that we write: llm.c's header, which most programs can read."""
    magic = LLMC if width == 2 else LLMC_WIDE
    return HEADER.pack(magic, LAYOUTS[magic].version, count, *[0] * 253)
