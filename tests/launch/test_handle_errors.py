"""How a program ends, in words and for other programs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.launch.handle_errors import handle_errors
from gpt2hydra.utils.interruption import Terminated
from tests.command_line import CommandLine


def test_a_refusal_for_programs_is_one_line_of_json(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPT2HYDRA_ERRORS", "json")
    outcome = run("model.n_layer=0", "model.n_hed=3")
    assert (outcome.code, outcome.out, outcome.configs, run.left_behind()) == (1, "", [], [])
    violations = json.loads(outcome.err)["violations"]
    assert [(each["key"], each["value"], each["remedy"]) for each in violations] == [
        ("model.n_layer", 0, {"model.n_layer": 12}),
        ("model.n_hed", 3, {"model.n_head": 3}),
    ]
    assert violations[1]["source"] == {"kind": "command line", "override": "model.n_hed=3"}


@pytest.mark.parametrize(
    ("mode", "code", "skipped", "started"),
    [pytest.param("strict", 1, False, 0, id="strict"), pytest.param("skip_invalid", 0, True, 2, id="skip")],
)
def test_invalid_points_for_programs_are_one_line_of_json(
    run: CommandLine, monkeypatch: pytest.MonkeyPatch, mode: str, code: int, skipped: bool, started: int
) -> None:
    monkeypatch.setenv("GPT2HYDRA_ERRORS", "json")
    outcome = run("-m", "model.n_head=4,7,6", f"preflight={mode}")
    assert (outcome.code, len(outcome.configs)) == (code, started)
    (line,) = (json.loads(line) for line in outcome.err.splitlines() if line.startswith("{"))
    assert (line["points"], line["valid"], line["skipped"]) == (3, [0, 2], skipped)
    (invalid,) = line["invalid"]
    assert (invalid["point"], invalid["overrides"][0]) == (1, "model.n_head=7")
    assert [(each["key"], each["value"]) for each in invalid["violations"]] == [("model.n_head", 7)]


def test_a_full_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ConfigError), handle_errors():
        raise ConfigError([Violation("a", 1, "must be 2")])


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        pytest.param(ConfigError([Violation("a", 1, "must be 2")]), 1, "a = 1\n    must be 2\n", id="refusal"),
        pytest.param(KeyboardInterrupt(), 130, "\nInterrupted by Ctrl-C.\n", id="Ctrl-C"),
        pytest.param(Terminated(), 143, "\nInterrupted by SIGTERM.\n", id="SIGTERM"),
    ],
)
def test_each_way_to_end_has_a_message_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    with pytest.raises(SystemExit) as stop, handle_errors():
        raise error
    assert stop.value.code == code
    assert capsys.readouterr().err.endswith(message)


def test_a_closed_output_is_no_traceback(tmp_path: Path) -> None:
    program = f"'{sys.executable}' '{CONF_DIR.parent}/train.py'"
    command = f"{program} dry_run=true hardware=h200 >&- && {program} model.n_head=7 2>&-"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_current_folder_that_was_removed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.setenv("PWD", "/gone")
    gone.rmdir()
    with pytest.raises(SystemExit) as stopped, handle_errors():
        pass
    assert stopped.value.code == 1
    assert capsys.readouterr().err == (
        "1 problem in the environment; nothing was started.\n\n"
        "  PWD = /gone\n    is the current folder, which no longer exists; change to another\n"
    )
