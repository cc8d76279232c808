"""Which program and which conf tree a command looks at."""

import argparse
import importlib
from pathlib import Path

import pytest

from gpt2hydra import GenerateConfig, TrainConfig
from gpt2hydra.commands.common_options import add_apps, add_config_dir, conf_tree, load_application
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.gpt2 import CONF_DIR
from tests.own_application import write_application


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_apps(parser)
    add_config_dir(parser)
    return parser.parse_args(words)


def test_ours_unless_another_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    own = write_application(tmp_path, "tree_app") / "conf"
    apps = ("--app", "tree_app.finetune:main", "--app", "tree_app.probe:main")
    assert conf_tree(options()).folder == CONF_DIR
    assert conf_tree(options(), own).folder == own
    tree = conf_tree(options(*apps))
    assert tree.folder == own.resolve()
    kinds = {each.name: each.root.__name__ if each.root else None for each in tree.primaries}
    assert kinds == {"finetune": "Finetune", "probe": "Probe"}


@pytest.mark.parametrize(
    ("words", "key"),
    [
        pytest.param(("--app", "nowhere"), "--app", id="no function"),
        pytest.param(("--app", "no_such_module:main"), "--app", id="no module"),
        pytest.param(("--config-dir", "nowhere"), "--config-dir", id="no folder"),
    ],
)
def test_an_absent_program_or_folder_is_refused(words: tuple[str, ...], key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        conf_tree(options(*words))
    assert refused.value.violations[0].key == key


def test_our_own_programs_are_found() -> None:
    train = load_application("gpt2hydra.launch.programs:train")
    assert (train.config_name, train.config_dir, train.config_class) == ("train", CONF_DIR, TrainConfig)
    assert load_application("gpt2hydra.launch.programs:generate").config_class is GenerateConfig


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        pytest.param("gpt2hydra", "must be module:function", id="no function"),
        pytest.param(":main", "must be module:function", id="no module"),
        pytest.param("no_such_module:main", "cannot be imported: No module named 'no_such_module'", id="unknown module"),
        pytest.param("gpt2hydra.launch.programs:trian", "did you mean gpt2hydra.launch.programs:train?", id="misspelt"),
        pytest.param(
            "gpt2hydra.launch.handle_errors:refuse", "is not a function decorated with @gpt2hydra.main", id="not decorated"
        ),
    ],
)
def test_a_program_that_is_not_there_is_reported(path: str, rule: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_application(path)
    assert rule in caught.value.violations[0].rule


def test_the_current_directory_is_looked_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import gpt2hydra\n@gpt2hydra.main()\ndef main(config: gpt2hydra.TrainConfig): pass\n"
    (tmp_path / "program_of_mine.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*importlib.import_module("sys").path])
    assert load_application("program_of_mine:main").config_name == "train"
