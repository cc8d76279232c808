"""The tokens of a run, for training and for validation."""

import os
from pathlib import Path

import pytest

pytest.importorskip("numpy")

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.data import corpus, corpus_tokens
from gpt2hydra.data.corpus import count_training_tokens
from gpt2hydra.data.corpus_checks import check_corpus
from tests.checkpoints import write_bpe
from tests.texts import bpe, configured, read_all, write_tokens


def test_each_document_begins_with_end_of_text_and_ends_in_validation(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(name * 50)
    (tmp_path / "empty.txt").touch()
    training, validation = corpus_tokens.load_tokens(configured(f"{tmp_path}/*.txt"))
    found = [number for part in (training, validation) for number in part.windows(np.array([0]), len(part))[0].tolist()]
    assert found == [256, *[97] * 45, 256, *[98] * 45, *[97] * 5, *[98] * 5]
    assert len(validation) == 10


def test_a_text_that_turned_out_short_is_a_config_error(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    (tmp_path / "text.txt").write_bytes(b"a" * 10)
    with pytest.raises(ConfigError, match="is too short"):
        corpus_tokens.load_tokens(configured(tmp_path / "text.txt"))


def test_a_text_that_turned_out_undecodable_is_a_config_error(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    (tmp_path / "text.txt").write_bytes(b"\xff" * 10)
    with pytest.raises(ConfigError, match="must be UTF-8; byte 0 is not"):
        corpus_tokens.load_tokens(configured(tmp_path / "text.txt"))
    with pytest.raises(ConfigError, match="must be UTF-8; byte 0 is not"):
        corpus_tokens.load_tokens(bpe(write_bpe(tmp_path / "bpe"), f"data.path='{tmp_path}/text.txt'"))


def test_token_files_of_two_kinds_are_one_text(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    write_tokens(tmp_path / "a.bin", list(range(50)))
    write_tokens(tmp_path / "b.bin", list(range(100, 200)), with_header=False)
    config = configured(f"{tmp_path}/*.bin", "data.validation_fraction=0.2")
    assert check_corpus(config) == []
    assert count_training_tokens(config) == (120, True)
    training, validation = corpus_tokens.load_tokens(config)
    assert read_all(training) == [*range(40), *range(100, 180)]
    assert read_all(validation) == [*range(40, 50), *range(180, 200)]


def test_a_text_of_its_own_for_validation(text: Path, tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    write_tokens(tmp_path / "validation.bin", list(range(30)))
    config = configured(text, f"data.validation_path='{tmp_path}/validation.bin'")
    assert check_corpus(config) == []
    assert count_training_tokens(config) == (321, True)
    training, validation = corpus_tokens.load_tokens(config)
    assert len(training) == 321 and read_all(validation) == list(range(30))


def test_an_invalid_token_in_an_unchecked_part_is_refused_when_it_is_read(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    file = write_tokens(tmp_path / "a.bin", [1] * 200_000 + [50_000] + [1] * 60_000)
    config = configured(file)
    assert check_corpus(config) == []
    training, _ = corpus_tokens.load_tokens(config)
    training.windows(np.array([0, 199_990]), 10)
    with pytest.raises(ConfigError, match="holds 50,000 as token 200,000; the tokenizer has only 257 symbols"):
        training.windows(np.array([0, 199_991]), 10)


@pytest.mark.usefixtures("small_memory")
def test_a_large_text_has_the_tokens_of_a_small_one(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("filelock")
    config = configured(text, f"data.cache_dir='{tmp_path}/cache'")
    assert check_corpus(config) == []
    through_the_cache = [read_all(part) for part in corpus_tokens.load_tokens(config)]
    assert [path.name for path in (tmp_path / "cache/tokens").glob("*/*")] == ["tokens.bin"]
    monkeypatch.setattr(corpus, "MAX_IN_MEMORY_BYTES", 10**6)
    assert [read_all(part) for part in corpus_tokens.load_tokens(config)] == through_the_cache


@pytest.mark.usefixtures("small_memory")
def test_the_tokens_of_a_text_in_the_cache_are_counted_exactly(text: Path, tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    settled = text.stat().st_mtime - 10
    os.utime(text, (settled, settled))
    config = bpe(
        write_bpe(tmp_path / "bpe", "a s"), "model.n_positions=8", f"data.path='{text}'", f"data.cache_dir='{tmp_path}/c'"
    )
    assert count_training_tokens(config) == (73, False)
    training, _ = corpus_tokens.load_tokens(config)
    assert count_training_tokens(config) == (len(training), True) == (280, True)
