"""Text files into tokens, a little at a time."""

from pathlib import Path

import pytest

pytest.importorskip("tokenizers")
pytest.importorskip("numpy")

import numpy as np

from gpt2hydra.config.run import TokenizerConfig
from gpt2hydra.data import encoding, text
from gpt2hydra.data.encoding import Encoder
from tests.checkpoints import write_bpe

PROSE = "It was the best of times, it was the worst of times,\nit was the age of wisdom; é, 字。\n\n" * 50


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "prose.txt").write_text(PROSE, encoding="utf-8")
    return tmp_path / "prose.txt"


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pieces, few at a time."""
    for module, name, size in (
        (encoding, "PIECE_CHARACTERS", 40),
        (encoding, "BATCH_CHARACTERS", 200),
        (text, "BLOCK_BYTES", 333),
    ):
        monkeypatch.setattr(module, name, size)
    monkeypatch.setattr("os.cpu_count", lambda: 2)


@pytest.mark.usefixtures("little")
def test_bytes_come_a_little_at_a_time(file: Path) -> None:
    done: list[int] = []
    arrays = list(Encoder(TokenizerConfig()).tokens(file, done.append))
    assert np.concatenate(arrays).tolist() == [256, *PROSE.encode()]
    assert len(arrays) > 10 and max(map(len, arrays)) < 400
    assert sum(done) == len(PROSE.encode())


@pytest.mark.usefixtures("little")
def test_bpe_gives_the_tokens_of_the_complete_text(file: Path, tmp_path: Path) -> None:
    encoder = Encoder(TokenizerConfig("gpt2", str(write_bpe(tmp_path / "bpe", "t h", "Ġ w", "a s", "Ġw as", "i m"))))
    assert encoder.bpe is not None
    tokens = np.concatenate(list(encoder.tokens(file))).tolist()
    assert tokens == [encoder.bpe.end_of_text, *encoder.bpe.encode(PROSE)]


def test_tokens_take_as_many_bytes_as_the_vocabulary_needs(tmp_path: Path) -> None:
    assert Encoder(TokenizerConfig()).dtype == np.uint16
    folder = write_bpe(tmp_path)
    vocabulary = (folder / "vocab.json").read_text().replace("256", "65536")
    (folder / "vocab.json").write_text(vocabulary)
    assert Encoder(TokenizerConfig("gpt2", str(folder))).dtype == np.uint32


def test_the_default_text_has_end_of_text_before_each_topic() -> None:
    tokens = Encoder(TokenizerConfig()).reference()
    assert (tokens == 256).sum() == len(text.reference())
    assert len(tokens) == sum(map(len, text.reference())) + len(text.reference())
