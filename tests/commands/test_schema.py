"""``gpt2hydra schema``: files for an editor, and the lines that name them."""

import json
import shutil
from pathlib import Path

import pytest

import gpt2hydra
from gpt2hydra.config.gpt2 import CONF_DIR
from tests.commands.test_main import run_command
from tests.own_application import write_application


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of our own tree, in the current directory."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(CONF_DIR, tmp_path / "conf"))


def test_a_schema_is_written_for_each_kind_of_file(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = "wrote experiment.json, generate.json, hardware.json, model.json, tokenizer.json, train.json in schema\n"
    assert run_command(capsys, "schema") == (0, expected, "")
    written = {file.stem: json.loads(file.read_text()) for file in Path("schema").iterdir()}
    assert written == json.loads(run_command(capsys, "schema", "--json")[1])


def test_linked_files_compose_to_the_same_and_are_linked_once(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = [[], ["experiment=quickstart"], ["experiment=gpt2_124m"], ["model=xl", "hardware=l4"]]
    before = [gpt2hydra.compose("train", each, config_dir=conf) for each in chosen]
    code, out, err = run_command(capsys, "schema", "--link", "--config-dir", "conf")
    assert (code, err) == (0, "") and "linked conf/experiment/quickstart.yaml\n" in out
    assert Path("conf/experiment/quickstart.yaml").read_text().splitlines()[:2] == [
        "# @package _global_",
        "# yaml-language-server: $schema=../../schema/experiment.json",
    ]
    assert [gpt2hydra.compose("train", each, config_dir=conf) for each in chosen] == before
    assert run_command(capsys, "schema", "--link", "--config-dir", "conf")[1].endswith("every file is linked already\n")


def test_only_the_users_folder_is_linked_to_its_schemas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine/model/tiny.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("n_layer: 2\n")
    printed = run_command(capsys, "schema", "--link", "--config-dir", "mine")[1]
    assert printed.splitlines()[1:] == ["linked mine/model/tiny.yaml"]
    assert mine.read_text() == "# yaml-language-server: $schema=../../schema/model.json\nn_layer: 2\n"
    assert "tiny" in json.loads(Path("schema/train.json").read_text())["$defs"]["options-of-model"]["anyOf"][0]["enum"]


def test_a_file_that_no_schema_fits_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = write_application(tmp_path, "schema_app") / "conf"
    monkeypatch.chdir(own.parent)
    code, out, err = run_command(capsys, "schema", "--link", "--config-dir", "conf")
    assert (code, err) == (0, "") and "linked already" not in out
    assert "no schema fits conf/finetune.yaml, " in out and out.endswith("add --app MODULE:FUNCTION\n")
    monkeypatch.syspath_prepend(tmp_path)
    apps = ("--app", "schema_app.finetune:main", "--app", "schema_app.probe:main")
    assert "linked conf/finetune.yaml\n" in run_command(capsys, "schema", "--link", *apps)[1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["--config-dir", "nowhere"], "--config-dir = nowhere\n    is not a folder", id="no folder"),
        pytest.param(["--output", "file/schema"], "cannot be written: Not a directory", id="no folder to write into"),
        pytest.param(
            ["--link", "--config-dir", "latin"], "latin/model/a.yaml\n    cannot be linked: it is not UTF-8", id="latin-1"
        ),
    ],
)
def test_wrong_arguments_and_unwritable_files_are_reported(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("latin/model").mkdir(parents=True)
    Path("latin/model/a.yaml").write_bytes("# grün\nn_layer: 2\n".encode("latin-1"))
    code, out, err = run_command(capsys, "schema", *arguments)
    assert (code, out) == (1, "") and expected in err
    assert not Path("schema").exists()
