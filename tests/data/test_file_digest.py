"""Files are known again by size and content, and a change is noticed."""

import os
from pathlib import Path

import pytest

from gpt2hydra import TrainConfig
from gpt2hydra.config.run import DataConfig
from gpt2hydra.data import file_digest
from gpt2hydra.data.file_digest import mark, marks


def test_the_same_content_has_the_same_mark_wherever_it_lies(tmp_path: Path) -> None:
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("To be")
    other.write_text("To be")
    os.utime(other, (0, 0))
    assert (mark(one).bytes, mark(one).digest) == (5, mark(other).digest)


@pytest.mark.parametrize("changed", ["To bee", "to be", ""])
def test_a_change_changes_the_mark(tmp_path: Path, changed: str) -> None:
    file = tmp_path / "text.txt"
    file.write_text("To be")
    before = mark(file)
    file.write_text(changed)
    assert mark(file) != before


def test_a_large_file_is_known_by_its_beginning_its_end_its_size_and_blocks_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_digest, "BLOCK", 4)
    monkeypatch.setattr(file_digest, "BLOCKS", 4)
    file = tmp_path / "large.bin"
    content = bytes(range(64))
    file.write_bytes(content)
    before = mark(file)
    noticed = []
    for place in range(len(content)):
        file.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
        noticed.append(mark(file).digest != before.digest)
    assert [place for place, seen in enumerate(noticed) if seen] == [0, 1, 2, 3, 20, 21, 22, 23, 40, 41, 42, 43, 60, 61, 62, 63]
    file.write_bytes(content + b"\0")
    assert mark(file).digest != before.digest


def test_every_file_of_a_run_is_marked_and_the_default_text_too(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text(name)
    config = TrainConfig(data=DataConfig(path=f"{tmp_path}/*.txt"))
    assert [Path(each.file).name for each in marks(config)] == ["a.txt", "b.txt"]
    assert [each.file for each in marks(TrainConfig())] == ["the Python language reference"]
