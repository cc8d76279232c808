"""Parquet files of text."""

import shutil
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import parquet as pq

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.config.run import DataConfig, TokenizerConfig
from gpt2hydra.data import cache, corpus_checks, parquet, text
from gpt2hydra.data.encoding import Encoder


def write(folder: Path, **columns: list[object]) -> Path:
    pq.write_table(pa.table(columns), folder / "rows.parquet", row_group_size=2)
    return folder / "rows.parquet"


def test_each_row_is_a_document(tmp_path: Path) -> None:
    file = write(tmp_path, text=["ab", None, "", "é", "c"], other=[1, 2, 3, 4, 5])
    assert parquet.problem(file) == ""
    assert list(parquet.rows(file)) == ["ab", "é", "c"]
    (tokens,) = Encoder(TokenizerConfig()).tokens(file)
    assert tokens.tolist() == [256, 97, 98, 256, 195, 169, 256, 99]


def test_one_file_has_several_documents_and_may_have_more_tokens_than_bytes(tmp_path: Path) -> None:
    file = write(tmp_path, text=["a" * 10_000, "b" * 10_000])
    assert file.stat().st_size < 10_000 and text.max_tokens(str(file)) is None and not text.is_one_document(str(file))
    config = gpt2hydra.compose("train", ["tokenizer=gpt2", "tokenizer.path=on/the-hub", f"data.path='{file}'"])
    assert corpus_checks._length_problems(config) == []


def test_the_size_of_a_parquet_file_is_known_without_reading_the_rows(tmp_path: Path) -> None:
    file = write(tmp_path, text=[f"word {number} " * 100 for number in range(100)], other=["x" * 1000] * 100)
    assert 80_000 < parquet.size(file) < 200_000


def test_one_that_cannot_be_used_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parquet.problem(write(tmp_path, content=["a"])) == "must have a column 'text'; it has content"
    assert parquet.problem(write(tmp_path, text=[1])) == "must have text in its column 'text', not int64"
    assert parquet.problem(write(tmp_path, text=pa.array([], pa.string()))) == "has no rows"
    (tmp_path / "no.parquet").write_bytes(b"none of it")
    assert parquet.problem(tmp_path / "no.parquet").startswith("cannot be read as a parquet file: ")
    monkeypatch.setattr(parquet, "find_spec", lambda name: None)
    assert parquet.problem(tmp_path / "no.parquet") == "needs pyarrow, which is not installed: pip install pyarrow"


def test_the_cache_needs_space_for_the_text_not_for_the_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, text=["ab" * 100_000])
    assert file.stat().st_size < 50_000
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 9 * 10**5, 10**5))
    config = TrainConfig(data=DataConfig(cache_dir=str(tmp_path / "cache")))
    assert [each.key for each in cache.check_cache([file], config)] == ["data.cache_dir"]
