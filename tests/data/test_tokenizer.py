"""Text to tokens and back."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.run import TokenizerConfig
from gpt2hydra.data.tokenizer import Tokenizer, bytes_tokenizer, from_files, from_folder, load
from tests.checkpoints import write_bpe

pytest.importorskip("tokenizers")

MERGES = ("t h", "th e", "Ġ the", "Ġ a", "o u", "Ã ©")
BYTES = bytes_tokenizer()


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = write_bpe(tmp_path_factory.mktemp("bpe"), *MERGES)
    return from_files(folder / "vocab.json", folder / "merges.txt")


@given(st.text())
def test_a_byte_is_a_token(text: str) -> None:
    assert BYTES.encode(text) == list(text.encode())
    assert (BYTES.size, BYTES.end_of_text) == (257, 256)


@given(st.text())
def test_decoding_undoes_encoding(bpe: Tokenizer, text: str) -> None:
    assert bpe.decode(bpe.encode(text)) == text


def test_several_texts_are_encoded_at_once(bpe: Tokenizer) -> None:
    assert bpe.encode_batch(["the", "", "you"]) == [bpe.encode("the"), [], bpe.encode("you")]


def test_merges_are_applied(bpe: Tokenizer) -> None:
    assert bpe.encode("you the é") == [ord("y"), 260, 258, ord(" "), 261]
    assert [bpe.bytes_of(token) for token in (258, 261)] == [b" the", "é".encode()]


def test_end_of_text_in_a_text_is_text(bpe: Tokenizer) -> None:
    assert bpe.end_of_text == 262
    assert bpe.end_of_text not in bpe.encode("<|endoftext|>")
    assert bpe.decode([104, 262, 105]) == "hi"


def test_ids_beyond_the_vocabulary_have_no_bytes(bpe: Tokenizer) -> None:
    assert bpe.bytes_of(9999) == b""


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert BYTES.decode([195, 104]) == "\N{REPLACEMENT CHARACTER}h"


def test_a_saved_tokenizer_is_read_again(bpe: Tokenizer, tmp_path: Path) -> None:
    bpe.save(tmp_path, 64)
    text = "the <|endoftext|> élève\n"
    assert from_folder(tmp_path).encode(text) == bpe.encode(text)
    (tmp_path / "tokenizer.json").unlink()
    assert from_folder(tmp_path).encode(text) == bpe.encode(text)


def test_the_configured_tokenizer_is_loaded(tmp_path: Path) -> None:
    assert load(TokenizerConfig()).size == 257
    assert load(TokenizerConfig("gpt2", str(write_bpe(tmp_path, *MERGES)))).size == 263


@pytest.mark.parametrize("content", ["{}", '{"a": "b"}', '{"<|endoftext|>": -1}', "[1]", ""])
def test_files_that_are_no_tokenizer(content: str, tmp_path: Path) -> None:
    write_bpe(tmp_path, *MERGES)
    (tmp_path / "vocab.json").write_text(content)
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path))):
        from_folder(tmp_path)


def test_a_complete_file_that_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"decoder": {"type": "ByteLevel"}}))
    with pytest.raises(ConfigError, match="must be a byte-level BPE"):
        from_folder(tmp_path)


def test_a_folder_may_hold_the_complete_tokenizer_in_one_file(bpe: Tokenizer, tmp_path: Path) -> None:
    bpe.save(tmp_path, 64)
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).unlink()
    assert load(TokenizerConfig("gpt2", str(tmp_path))).encode("you the é") == bpe.encode("you the é")


def test_files_that_crash_the_library_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        """As pyo3's, which is no ``Exception``."""

    def panics(*_: object, **__: object) -> None:
        raise PanicException("retry-limit-in-match over")

    monkeypatch.setattr("tokenizers.models.BPE", panics)
    folder = write_bpe(tmp_path)
    with pytest.raises(ConfigError, match="holds no byte-level BPE: retry-limit-in-match over"):
        from_files(folder / "vocab.json", folder / "merges.txt")
