"""Text files: found, read in blocks, and cut into pieces."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.data import text
from gpt2hydra.data.tokenizer import Tokenizer, from_files
from tests.checkpoints import write_bpe


def test_a_glob_names_its_files_in_order_and_no_folder(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "deep/c.txt", "d.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "folder.txt").mkdir()
    assert [file.read_bytes() for file in text.files(f"{tmp_path}/*.txt")] == [b"a.txt", b"b.txt"]
    assert [file.read_bytes() for file in text.files(f"{tmp_path}/**/[ac].txt")] == [b"a.txt", b"deep/c.txt"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "[draft].txt").write_text("mine")
    assert [file.read_bytes() for file in text.files(f"{tmp_path}/[draft].txt")] == [b"mine"]


def test_the_default_is_pythons_reference() -> None:
    assert b"assert_stmt" in b"".join(text.reference())
    assert text.max_tokens(None) == sum(map(len, text.reference())) + len(text.reference()) > 400_000


def test_a_text_has_at_most_as_many_tokens_as_bytes_and_documents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    assert text.max_tokens(f"{tmp_path}/*.txt") == 4 and text.is_one_document(f"{tmp_path}/*.txt")
    (tmp_path / "b.txt").write_bytes(b"de")
    assert text.max_tokens(f"{tmp_path}/*.txt") == 7 and not text.is_one_document(f"{tmp_path}/*.txt")
    assert not text.is_one_document(None)


# --------------------------------------------------------------------------------------------------- blocks and pieces


def test_a_character_may_lie_on_the_border_of_two_blocks(tmp_path: Path) -> None:
    content = "a" * (text.BLOCK_BYTES - 1) + "ü" * 3
    (tmp_path / "text.txt").write_text(content, encoding="utf-8")
    assert "".join(text.read_blocks(tmp_path / "text.txt")) == content


@pytest.mark.parametrize(
    ("content", "where"),
    [
        pytest.param(b"a" * text.BLOCK_BYTES + b"\xff", "1,048,576", id="in the second block"),
        pytest.param(b"a" * (text.BLOCK_BYTES - 1) + b"\xc3a", "1,048,575", id="on the border"),
        pytest.param(b"ab\xc3", "2", id="at the end"),
    ],
)
def test_text_that_is_not_utf8_is_refused_when_it_is_read(content: bytes, where: str, tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        list(text.read_blocks(file))
    rule = f"must be UTF-8; byte {where} is not (if it is Latin-1, convert it: iconv -f LATIN1 -t UTF-8)"
    assert refused.value.violations == (Violation(str(file), rule=rule),)


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    pytest.importorskip("tokenizers")
    folder = write_bpe(tmp_path_factory.mktemp("bpe"), "t h", "th e", "Ġ the", "Ġ a", "o u", "Ã ©", "the .", ". .", "Ġ Ġ")
    return from_files(folder / "vocab.json", folder / "merges.txt")


PARTS = st.lists(st.sampled_from(["the", "a", " ", "\n", "\r", "é", "1", "'s", ".", ",", "字", "_", "²", "̈"]), max_size=30)


@given(PARTS, st.integers(1, 9), st.integers(1, 9))
def test_pieces_have_the_tokens_of_the_complete_text(bpe: Tokenizer, parts: list[str], size: int, block: int) -> None:
    whole = "".join(parts)
    cut = list(text.pieces(iter([whole[at : at + block] for at in range(0, len(whole), block)]), size))
    assert "".join(cut) == whole and all(cut)
    if max(map(len, cut), default=0) < 20 * size:
        assert [token for piece in cut for token in bpe.encode(piece)] == bpe.encode(whole)


def test_pieces_end_at_word_boundaries() -> None:
    assert list(text.pieces(iter(["one\ntwo\n\nthr", "ee\nfour five, six"]), 2)) == [
        "one\n",
        "two\n\nthree\n",
        "four",
        " five",
        ", six",
    ]


def test_a_text_without_spaces_is_split_as_well() -> None:
    assert [len(piece) for piece in text.pieces(iter(["a" * 100, "a" * 70]), 2)] == [40, 40, 40, 40, 10]
