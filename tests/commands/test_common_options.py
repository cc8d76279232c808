"""Which conf tree a command looks at."""

import argparse
from pathlib import Path

import pytest

from gpt2hydra.commands.common_options import add_app, add_config_dir, conf_tree
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.gpt2 import CONF_DIR
from tests.own_application import write_application


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_app(parser)
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
