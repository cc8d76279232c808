"""What a composition depends on: only what Hydra can read, and all of that."""

import os
from pathlib import Path

import pytest

from gpt2hydra.composition.hydra_compat import store_config
from gpt2hydra.composition.watch import surroundings, yaml_files


def names(folder: Path) -> list[str]:
    return [os.path.relpath(path, folder) for path, *_ in yaml_files([str(folder)])]


def test_only_files_that_hydra_can_read_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for name in ("conf/train.yaml", "conf/model/tiny.yaml", "conf/notes.txt", "elsewhere/linked.yaml"):
        (tmp_path / name).write_text("a: 1\n")
    os.mkfifo(tmp_path / "conf/pipe.yaml")
    (tmp_path / "conf/.#train.yaml").symlink_to("somebody@host.123:456")  # Emacs's lock
    (tmp_path / "conf/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "conf/circle").symlink_to(tmp_path / "conf")
    assert sorted(names(tmp_path / "conf")) == ["model/tiny.yaml", "more/linked.yaml", "train.yaml"]


def test_a_change_of_any_of_it_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "train.yaml"
    file.write_text("a: 1\n")
    store_config("gpt2test_watched", {"a": 1})
    before = surroundings([str(tmp_path)])
    assert surroundings([str(tmp_path)]) == before
    store_config("gpt2test_watched", {"a": 1})
    assert surroundings([str(tmp_path)]) == before  # the same again
    store_config("gpt2test_watched", {"a": 2})
    stored = surroundings([str(tmp_path)])
    monkeypatch.setenv("GPT2HYDRA_TEST", "x")
    environment = surroundings([str(tmp_path)])
    file.write_text("a: 22\n")
    assert len({str(each) for each in (before[0], surroundings([str(tmp_path)])[0])}) == 2
    assert stored != before and environment != stored
