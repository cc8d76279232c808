"""Files that appear complete or not at all."""

import os
from pathlib import Path

import pytest

from gpt2hydra.utils import files
from gpt2hydra.utils.files import atomic_file


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "run.json") as unfinished:
        unfinished.write_text("new")
        assert not (tmp_path / "run.json").exists()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("run.json", "new")]


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_file(tmp_path / "run.json") as unfinished:
        unfinished.write_text("ne")
        raise ZeroDivisionError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("run.json", "old")]


def test_a_durable_file_is_on_the_disk_before_its_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool]] = []
    fsync = files.fsync

    def noted(path: Path) -> None:
        synced.append((path.name, (tmp_path / "run.json").exists()))
        fsync(path)

    monkeypatch.setattr(files, "fsync", noted)
    with atomic_file(tmp_path / "run.json", durable=True) as unfinished:
        unfinished.write_text("new")
    assert synced == [(".run.json-unfinished", False), (tmp_path.name, True)]


@pytest.mark.skipif(os.name != "posix", reason="folders cannot be opened elsewhere")
def test_a_missing_file_is_not_synced(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.fsync(tmp_path / "absent")
