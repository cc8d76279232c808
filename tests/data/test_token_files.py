"""Token files: which kind, what is wrong with them, what they hold."""

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.data import token_files
from gpt2hydra.data.token_files import NotTokenFile, TokenFile, recognise

TOKENS = [50256, 40, 271, 0, 50255]


def with_header(magic: int, version: int, count: int, *more: int, code: str = "H", tokens: list[int] = TOKENS) -> bytes:
    words = [magic, version, count, *more]
    return struct.pack("<256i", *words, *[0] * (256 - len(words))) + struct.pack(f"<{len(tokens)}{code}", *tokens)


def write(folder: Path, content: bytes, name: str = "train.bin") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize(
    ("content", "start", "width"),
    [
        pytest.param(struct.pack("<5H", *TOKENS), 0, 2, id="nanoGPT"),
        pytest.param(struct.pack("<600H", *TOKENS * 120), 0, 2, id="nanoGPT, as long as a header"),
        pytest.param(with_header(20240520, 1, 5), 1024, 2, id="llm.c"),
        pytest.param(with_header(20240801, 7, 5, code="I"), 1024, 4, id="llm.c for Llama 3"),
        pytest.param(with_header(278895051, 1, 5, 2), 1024, 2, id="NeMo"),
        pytest.param(with_header(278895051, 1, 5, 4, code="I"), 1024, 4, id="NeMo, four bytes"),
    ],
)
def test_a_token_file_is_known_by_its_first_bytes(content: bytes, start: int, width: int, tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    file = write(tmp_path, content)
    token_file = recognise(file)
    assert token_file == TokenFile(file, start, width, (len(content) - start) // width)
    with token_file.open() as tokens:
        assert tokens[:5].tolist() == TOKENS
    assert token_files.highest_token(token_file) == 50256


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"abc", "has 3 bytes and no header, but tokens have two bytes; is it truncated?", id="odd"),
        pytest.param(with_header(20240520, 1, 6), "has 5 tokens, but its header says 6; is it truncated?", id="cut short"),
        pytest.param(
            with_header(20240520, 1, 5)[:-1], "has 4.5 tokens, but its header says 5; is it truncated?", id="half a token"
        ),
        pytest.param(with_header(20240520, 1, 4), "has 5 tokens, but its header says 4", id="miscounted"),
        pytest.param(with_header(20240520, 1, 0, tokens=[]), "has 0 tokens, but its header says 0", id="none"),
        pytest.param(with_header(20240520, 1, -5), "has 5 tokens, but its header says -5", id="less than none"),
        pytest.param(with_header(20240520, 2, 5), "has a header of version 2; only 1 can be read", id="newer"),
        pytest.param(with_header(20240801, 1, 5), "has a header of version 1; only 7 can be read", id="older"),
        pytest.param(with_header(278895051, 1, 5, 3), "has a header with tokens of 3 bytes; must be 2 or 4", id="three bytes"),
        pytest.param(with_header(20240326, 3, 5), "has the header of llm.c's weights", id="weights"),
        pytest.param(with_header(7, 3, 5), "has the header of another format (it begins with 7)", id="foreign header"),
        pytest.param(
            struct.pack(">256i", 20240520, 1, 5, *[0] * 253) + bytes(10),
            "is big-endian; must be little-endian",
            id="big-endian",
        ),
        pytest.param(b"PK\x03\x04" + bytes(90), "is a zip archive, as PyTorch's weights are; must hold tokens as", id="zip"),
        pytest.param("Grüße aus der Küche. ".encode() * 300, "is a text; give it a name that does not end in .bin", id="text"),
    ],
)
def test_a_file_that_is_no_token_file_is_refused_with_the_reason(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(NotTokenFile, match=f"^{re.escape(message)}"):
        recognise(write(tmp_path, content))


def test_megatrons_files_are_named(tmp_path: Path) -> None:
    write(tmp_path, b"MMIDIDX\0\0", "train.idx")
    with pytest.raises(NotTokenFile, match="is one of Megatron's"):
        recognise(write(tmp_path, struct.pack("<5H", *TOKENS)))


@pytest.mark.parametrize("code", ["H", "I"])
def test_our_header_is_llmcs(code: str, tmp_path: Path) -> None:
    width = struct.calcsize(code)
    file = write(tmp_path, token_files.header(5, width) + struct.pack(f"<5{code}", *TOKENS))
    assert recognise(file) == TokenFile(file, 1024, width, 5)


def grow(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0\0")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda file: os.truncate(file, 4), "changed its size after the run began", id="shrinks"),
        pytest.param(lambda file: os.truncate(file, 0), "changed its size after the run began", id="emptied"),
        pytest.param(grow, "changed its size after the run began", id="grows"),
        pytest.param(lambda file: file.unlink(), "cannot be read any more: No such file or directory", id="deleted"),
    ],
)
def test_a_file_that_changes_while_it_is_read_is_refused(change: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    token_file = recognise(write(tmp_path, struct.pack("<5H", *TOKENS)))
    change(token_file.file)
    with pytest.raises(ConfigError, match=message), token_file.open():
        pass
