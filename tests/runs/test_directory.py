"""The directory of a run."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from gpt2hydra import GPT2Config, TrainConfig
from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.runs.directory import check_directory, check_space, seen_from_here


@pytest.mark.parametrize("name", [f"{run_checkpoints.FOLDER}/step-000010", *run_checkpoints.OLD_FOLDERS])
def test_a_directory_with_checkpoints_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "run" / name).mkdir(parents=True)
    with pytest.raises(ConfigError, match="holds the checkpoints of an earlier run") as refused:
        check_directory(tmp_path / "run", "output_dir")
    assert refused.value.violations[0].remedy == {"output_dir": f"{tmp_path}/run-2"}


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file is a file"):
        check_directory(tmp_path / "file/run", "output_dir")


def test_a_directory_needs_room_for_two_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainConfig(model=GPT2Config(n_layer=1))
    parameters = 50257 * 768 + 1024 * 768 + 12 * 768**2 + 13 * 768 + 2 * 768
    needed = 2 * 3 * 4 * parameters  # two checkpoints of weights and AdamW's two means, in fp32
    usage = namedtuple("usage", "total used free")  # as shutil's
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(needed, 0, needed))
    check_space(config, tmp_path / "a/run", "output_dir")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(needed, 1, needed - 1))
    with pytest.raises(ConfigError, match=r"has 1\.12 GB free; two checkpoints with the optimizer's state take 1\.12 GB"):
        check_space(config, tmp_path / "a/run", "output_dir")


def test_paths_are_said_as_seen_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (seen_from_here(tmp_path / "a/b"), seen_from_here(Path("/elsewhere"))) == ("a/b", "/elsewhere")
