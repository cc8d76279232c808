"""The extras: which modules they bring, and what is reported where they are not installed."""

import re
from pathlib import Path

import pytest

from gpt2hydra.config.errors import UsageError
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.launch import extras


def test_an_extra_brings_each_module_that_is_looked_for() -> None:
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    project = tomllib.loads((CONF_DIR.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    brought = {re.split(r"[<>=]", line)[0].replace("-", "_") for line in project["optional-dependencies"]["train"]}
    assert {module.replace(".", "_") for module in extras.EXTRAS["train"]} <= brought


def test_missing_packages_are_reported_with_the_install_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(extras.EXTRAS, "train", ("json", "no_such_module", "nor_this"))
    monkeypatch.setattr(extras, "CONF_DIR", tmp_path / "gpt2hydra/conf")
    with pytest.raises(UsageError) as refused:
        extras.require_extra("train")
    assert str(refused.value) == (
        "1 problem in the installation.\n\n"
        "  no_such_module, nor_this\n    is not installed; type: pip install 'gpt2hydra[train]'"
    )


def test_the_install_command_names_the_folder_of_the_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.setattr(extras, "CONF_DIR", tmp_path / "conf")
    assert extras.install_command("plot") == f"pip install -e '{tmp_path}[plot]'"
