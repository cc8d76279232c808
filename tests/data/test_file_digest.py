"""Files are known again by size and content, and a change is noticed."""

import os
from pathlib import Path

import pytest

from gpt2hydra import TrainConfig
from gpt2hydra.config.run import DataConfig
from gpt2hydra.data import file_digest
from gpt2hydra.data.file_digest import cached_digest, content_digest, file_digests


def known_as(file: Path) -> tuple[int, str]:
    found = file_digest.file_digest(file, file.parent / "cache")
    return found.bytes, found.digest


def test_the_same_content_has_the_same_digest_wherever_it_lies(tmp_path: Path) -> None:
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("To be")
    other.write_text("To be")
    os.utime(other, (0, 0))
    assert known_as(one) == known_as(other) and known_as(one)[0] == 5


@pytest.mark.parametrize("changed", ["To bee", "to be", ""])
def test_a_change_changes_the_digest(tmp_path: Path, changed: str) -> None:
    file = tmp_path / "text.txt"
    file.write_text("To be")
    before = known_as(file)
    file.write_text(changed)
    assert known_as(file) != before


def changes_noticed(file: Path) -> list[int]:
    """Places of a file of 64 bytes at which a change of the byte changes the digest."""
    content = bytes(range(64))

    def digest_of(changed: bytes) -> str:
        file.write_bytes(changed)
        return content_digest(file, file.parent / "cache")

    before = digest_of(content)
    return [place for place in range(64) if digest_of(content[:place] + b"\xff" + content[place + 1 :]) != before]


def test_a_change_anywhere_in_a_large_text_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digest, "BLOCK_BYTES", 4)
    monkeypatch.setattr(file_digest, "MAX_COMPLETE_BYTES", 32)
    assert changes_noticed(tmp_path / "large.txt") == list(range(64))


def test_a_huge_token_file_is_known_by_its_size_and_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digest, "BLOCK_BYTES", 4)
    monkeypatch.setattr(file_digest, "BLOCKS", 4)
    monkeypatch.setattr(file_digest, "MAX_COMPLETE_BYTES", 32)
    assert changes_noticed(tmp_path / "huge.bin") == [0, 1, 2, 3, 20, 21, 22, 23, 40, 41, 42, 43, 60, 61, 62, 63]


def test_the_digest_of_a_large_file_is_remembered_until_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digest, "MIN_CACHED_BYTES", 4)
    file, cache = tmp_path / "text.txt", tmp_path / "cache"
    file.write_text("To be")
    os.utime(file, ns=(0, 0))
    _, first = known_as(file)
    assert cached_digest(file, cache) == first
    file.write_text("to be")
    assert cached_digest(file, cache) is None
    assert known_as(file)[1] != first


def test_every_file_of_a_run_has_a_digest_and_the_default_text_too(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text(name)
    config = TrainConfig(data=DataConfig(path=f"{tmp_path}/*.txt"))
    assert [Path(each.file).name for each in file_digests(config)] == ["a.txt", "b.txt"]
    assert [each.file for each in file_digests(TrainConfig())] == ["the Python language reference"]
