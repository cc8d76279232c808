"""``gpt2hydra check``: the report and its exit code."""

import json
import re
import shutil
from pathlib import Path

import pytest

from gpt2hydra.config.gpt2 import CONF_DIR
from tests.commands.test_main import run_command
from tests.composition.test_lint import LEFT_OUT


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of our own tree, but for some options, with two mistakes, in the current directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(CONF_DIR, "conf", ignore=shutil.ignore_patterns(*LEFT_OUT))
    Path("conf/hardware/mine.yaml").write_text("memory_gb: 80\nname: no\n")
    Path("conf/experiment/mine.yaml").write_text("# @package _global_\nmodel:\n  n_hed: 3\n  lr: 1\ntraining.seed: 3\n")
    return Path("conf")


def test_a_tree_without_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_command(capsys, "check")
    files = len([*CONF_DIR.rglob("*.yaml")])
    assert (code, err) == (0, "") and re.fullmatch(rf"{files} files in (.*/)?conf, nothing is wrong\n", out)


def test_the_same_for_a_program(conf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run_command(capsys, "check", "conf", "--json")
    reported = json.loads(out)
    assert (code, err, reported["notes"]) == (1, "", [])
    assert len(reported["files"]) == len([*conf.rglob("*.yaml")])
    assert [(each["file"], each["line"], each["key"]) for each in reported["problems"]] == [
        ("conf/experiment/mine.yaml", 3, "model.n_hed"),
        ("conf/experiment/mine.yaml", 4, "model.lr"),
        ("conf/experiment/mine.yaml", 5, "training.seed"),
        ("conf/hardware/mine.yaml", 2, "hardware.name"),
    ]
    monkeypatch.setenv("GPT2HYDRA_ERRORS", "json")
    assert json.loads(run_command(capsys, "check", "conf")[2]) == reported


@pytest.mark.parametrize("folder", ["nowhere", "conf/model", "conf/train.yaml"])
def test_a_folder_that_is_no_conf_tree_is_reported(conf: Path, capsys: pytest.CaptureFixture[str], folder: str) -> None:
    code, out, err = run_command(capsys, "check", folder)
    assert (code, out) == (1, "") and folder in err and "Traceback" not in err
