"""A folder of YAML files as Hydra sees it."""

import os
from pathlib import Path
from typing import Any

import pytest

from gpt2hydra import GenerateConfig, TrainConfig
from gpt2hydra.composition.conf_tree import ConfTree
from gpt2hydra.composition.lint import check_tree
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import TokenizerConfig
from gpt2hydra.config.sections import class_with_sections


def test_our_own_tree() -> None:
    tree = ConfTree(CONF_DIR)
    assert {each.name: each.root for each in tree.primaries} == {"generate": GenerateConfig, "train": TrainConfig}
    listed = {group: [each.name for each in primaries] for group, primaries in tree.groups.items()}
    assert listed == {group: ["train"] for group in ("experiment", "hardware", "model", "tokenizer")}


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        pytest.param(None, "there is no such folder; must be a folder of YAML files", id="nothing"),
        pytest.param({}, "holds no primary config: no YAML file", id="empty"),
        pytest.param({"model/a.yaml": "defaults: []"}, "holds no primary config: no YAML file", id="groups only"),
        pytest.param({"small.yaml": "n_layer: 2"}, "holds no primary config: no YAML file", id="a group"),
    ],
)
def test_a_folder_that_is_no_conf_tree_is_refused(tmp_path: Path, files: dict[str, Any] | None, rule: str) -> None:
    folder = tmp_path / "conf"
    for name, text in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    if files == {}:
        folder.mkdir()
    with pytest.raises(ConfigError) as refused:
        ConfTree(folder)
    assert refused.value.violations[0].key == str(folder) and rule in refused.value.violations[0].rule


def test_the_primary_config_of_a_known_program_needs_no_defaults_list(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("tokens: {name: byte}\n")
    (problem,) = check_tree(ConfTree(tmp_path, {"app": class_with_sections({"tokens": TokenizerConfig})})).problems
    assert (problem.violation.head, problem.where.line) == ("tokens.name = byte", 1)


@pytest.mark.parametrize("text", ["'defaults': []\n", "{seed: 3, defaults: []}\n", "defaults: [\n"])
def test_a_defaults_list_may_be_written_in_any_of_yamls_forms(tmp_path: Path, text: str) -> None:
    (tmp_path / "train.yaml").write_text(text)
    assert ConfTree(tmp_path).primary_names == ["train"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_only_files_that_hydra_reads_are_listed(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("train.yaml", "model/a.yaml", "model/b.yml", "model/notes.txt"):
        (tmp_path / name).write_text("defaults: []\n")
    (tmp_path / "model/above").symlink_to(tmp_path)
    (tmp_path / "model/.#a.yaml").symlink_to("user@host.1234")
    os.mkfifo(tmp_path / "pipe.yaml")
    tree = ConfTree(tmp_path)
    assert [file.relative_to(tmp_path).as_posix() for file in tree.files()] == ["train.yaml", "model/a.yaml", "model/b.yml"]
    assert tree.primary_names == ["train"]
