"""Token files: the layouts that GPT-2 trainers write, distinguished by their first bytes. Needs numpy only to read tokens.

==========================  =============================================================================================
llm.c, modded-nanogpt       int32[256]: 20240520, 1, number of tokens, zeros; then uint16 (``llm.c dev/data/data_common.py``)
llm.c, larger vocabularies  int32[256]: 20240801, 7, number of tokens, zeros; then uint32
NeMo AutoModel              int32[256]: 278895051, 1, number of tokens, bytes of one (2 or 4), zeros; then the tokens
nanoGPT                     uint16 from the first byte on (``nanoGPT data/*/prepare.py``)
==========================  =============================================================================================

All of it is little-endian. Documents begin with end-of-text.
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
from gpt2hydra.utils.formatting import reason_of

if TYPE_CHECKING:
    import numpy.typing as npt

SUFFIX = ".bin"
HEADER = struct.Struct("<256i")


class Layout(NamedTuple):
    """What a header must say, and how many bytes a token has; None: the header's fourth number."""

    version: int
    width: int | None


LLMC, LLMC_WIDE, NEMO = 20240520, 20240801, 278895051
LAYOUTS = {LLMC: Layout(1, 2), LLMC_WIDE: Layout(7, 4), NEMO: Layout(1, None)}
"""The first number of a header → the layout."""

FOREIGN = {20240326: "llm.c's weights", 20240327: "llm.c's debug state", 20240522: "llm.c's multiple-choice questions"}
MAGIC = {b"PK\x03\x04": "a zip archive, as PyTorch's weights are", b"\x80\x02": "a pickle", b"\x7fELF": "a program"}

MOST = 2**30
"""Tokens that one of our own files holds; the header's number is at most 2^31 - 1."""

LOOKED_AT = 2**18
"""So many bytes of each file are looked at before a run begins; the rest is checked when it is read."""


@dataclass(frozen=True)
class Shard:
    """A token file: ``count`` tokens of ``width`` bytes each, from byte ``start`` on."""

    file: Path
    start: int
    width: int
    count: int

    @contextmanager
    def open(self) -> Iterator[npt.NDArray[Any]]:
        """The tokens, (count,), as a view of the mapped file: read where they are looked at, and not to be kept.

        Opened for each batch and closed after it, so that memory stays flat however much is read, a thousand
        files need no thousand descriptors, and a file that shrank is noticed.

        Raises:
            Unreadable: the file is not what it was.
        """
        import numpy as np  # which a look at the header does without

        try:
            if self.file.stat().st_size != self.start + self.count * self.width:
                raise Unreadable([Violation(str(self.file), rule="has changed its size since the run began")])
            yield np.memmap(self.file, f"<u{self.width}", "r", self.start, (self.count,)).view(np.ndarray)
        except OSError as error:
            raise Unreadable([Violation(str(self.file), rule=f"cannot be read any more: {reason_of(error)}")]) from None


class Unreadable(ConfigError):
    """Tokens cannot be read any more, or are none of the tokenizer's: found while a run reads them."""


class NotTokens(Exception):
    """Why a file is no token file that can be read, as the rule of a violation."""


def recognise(file: Path) -> Shard:
    """What kind of token file this is, from its first bytes and its size.

    Raises:
        NotTokens: it is none, is empty, cut short, or of a version that is not known.
        OSError: it cannot be read.
    """
    stat = file.stat()
    return _recognise(file, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=100_000)
def _recognise(file: Path, size: int, modified: int) -> Shard:
    with file.open("rb") as stream:
        head = stream.read(4096)
    if not head:
        raise NotTokens("is empty")
    foreign = next((what for magic, what in MAGIC.items() if head.startswith(magic)), None) or _text(head) or _megatron(file)
    if foreign:
        raise NotTokens(f"is {foreign}; must hold tokens as nanoGPT or llm.c writes them")
    if len(head) >= HEADER.size:
        magic, version, count, width, *rest = HEADER.unpack_from(head)
        if magic in LAYOUTS:
            return _with_header(file, size, LAYOUTS[magic], version, count, width)
        if struct.unpack(">i", head[:4])[0] in LAYOUTS:
            raise NotTokens("is big-endian; must be little-endian")
        if magic in FOREIGN or (not any(rest) and any((magic, version, count))):
            raise NotTokens(f"has the header of {FOREIGN.get(magic, f'another format (it begins with {magic})')}")
    if size % 2:
        raise NotTokens(f"has {size:,} bytes, and no header: tokens of two bytes make an even number; is it cut short?")
    return Shard(file, 0, 2, size // 2)


def _with_header(file: Path, size: int, layout: Layout, version: int, count: int, width: int) -> Shard:
    if version != layout.version:
        raise NotTokens(f"has a header of version {version}; {layout.version} can be read")
    width = layout.width or width
    if width not in (2, 4):
        raise NotTokens(f"has tokens of {width} bytes by its header; must be 2 or 4")
    there = size - HEADER.size
    if count <= 0 or there != count * width:
        raise NotTokens(
            f"has {there / width:,.15g} tokens, and its header says {count:,}" + "; is it cut short?" * (there < count * width)
        )
    return Shard(file, HEADER.size, width, count)


def _text(head: bytes) -> str:
    """Token files have zeros and other control characters among their first bytes, and are no UTF-8; a text is."""
    if len(head) < 64 or (set(range(32)) - set(b"\t\n\r\f")) & set(head):
        return ""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return ""
    return "a text; give it a name that does not end in .bin"


def _megatron(file: Path) -> str:
    index = file.with_suffix(".idx")
    if not index.is_file():
        return ""
    with index.open("rb") as stream:
        return "one of Megatron's, with an .idx next to it" if stream.read(7) == b"MMIDIDX" else ""


def highest(shard: Shard) -> int:
    """The highest token among the first :data:`LOOKED_AT` bytes."""
    return _highest(shard, shard.file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=100_000)
def _highest(shard: Shard, modified: int) -> int:
    with shard.file.open("rb") as stream:
        stream.seek(shard.start)
        tokens = array("H" if shard.width == 2 else "I", stream.read(min(LOOKED_AT, shard.count * shard.width)))
    if sys.byteorder == "big":
        tokens.byteswap()
    return max(tokens)


def header(count: int, width: int) -> bytes:
    """The first 1,024 bytes of a file of ours: llm.c's, whose readers are the most."""
    magic = LLMC if width == 2 else LLMC_WIDE
    return HEADER.pack(magic, LAYOUTS[magic].version, count, *[0] * 253)
