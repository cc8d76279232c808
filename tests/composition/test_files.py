"""What files make before any override: schemas first, ``hydra:`` sections aside, each choice folded once."""

import os
from pathlib import Path

import pytest

from gpt2hydra.composition.files import ConfigFiles, snapshot, yaml_files
from gpt2hydra.composition.hydra_compat import store_config
from gpt2hydra.composition.hydra_loader import ConfigLoader, make_search_path
from gpt2hydra.composition.options import Options
from gpt2hydra.composition.overrides import Overrides, read_overrides
from gpt2hydra.composition.schema import register_schemas
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.run import TrainConfig


@pytest.fixture
def options(tmp_path: Path) -> Options:
    register_schemas()
    for name, text in {
        "mine": "defaults: [train_schema, {model: small}, _self_]\nhydra: {job: {name: x}}\ntraining: {seed: 3}\n",
        "model/small": "n_layer: 2\n",
        "model/large": "n_layer: 4\nn_hed: 2\n",
        "plain": "x: 1\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.yaml").write_text(text)
    return Options(ConfigLoader(make_search_path(str(tmp_path))), "mine")


def test_the_files_of_a_choice_are_folded_once(options: Options) -> None:
    files = ConfigFiles(options, None)
    small, large = (files.fold(read_overrides([f"model={name}"], options)) for name in ("small", "large"))
    assert small is not None and large is not None and small.root is TrainConfig
    assert small is files.fold(read_overrides(["model=small"], options))
    assert small.folded.settings["model", "n_layer"][-1].value == 2
    settings = large.folded.settings["model", "n_layer"]
    assert [str(each.source).rpartition("/")[2] for each in settings] == ["the default", "large.yaml:1"]
    assert [(each.key, str(each.source)[-12:]) for each in large.folded.violations] == [("model.n_hed", "large.yaml:2")]


def test_hydras_section_of_a_file_is_not_part_of_the_fold(options: Options) -> None:
    files = ConfigFiles(options, TrainConfig).fold(Overrides())
    assert files is not None and files.wrong_sections == [] and not files.needs_hydra
    assert not any(path[0] == "hydra" for path in files.folded.settings)


def test_a_class_needs_its_schema(options: Options) -> None:
    with pytest.raises(ConfigError, match="must list mine_schema, the schema of GPT2Config, first in its defaults"):
        ConfigFiles(options, GPT2Config).fold(Overrides())


def test_files_without_a_schema_are_left_to_hydra(options: Options) -> None:
    files = ConfigFiles(Options(options.loader, "plain"), None).fold(Overrides())
    assert files is not None and files.root is None and files.needs_hydra


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


def test_a_changed_yaml_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "train.yaml"
    file.write_text("a: 1\n")
    store_config("gpt2test_watched", {"a": 1})
    before = snapshot([str(tmp_path)])
    assert snapshot([str(tmp_path)]) == before
    store_config("gpt2test_watched", {"a": 1})
    assert snapshot([str(tmp_path)]) == before  # the same again
    store_config("gpt2test_watched", {"a": 2})
    stored = snapshot([str(tmp_path)])
    monkeypatch.setenv("GPT2HYDRA_TEST", "x")
    environment = snapshot([str(tmp_path)])
    file.write_text("a: 22\n")
    assert len({str(each) for each in (before[0], snapshot([str(tmp_path)])[0])}) == 2
    assert stored != before and environment != stored
