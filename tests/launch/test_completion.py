"""Shell completion: what a program answers, and what the shells make of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gpt2hydra.config.gpt2 import CONF_DIR
from tests.command_line import CommandLine
from tests.commands.test_main import run_command


@pytest.fixture
def complete(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> "Completer":
    return Completer(run, monkeypatch)


class Completer:
    def __init__(self, run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run, self.monkeypatch = run, monkeypatch

    def __call__(self, line: str, point: int | None = None, **options: Any) -> list[str]:
        self.monkeypatch.setenv("COMP_LINE", line)
        self.monkeypatch.setenv("COMP_POINT", str(len(line) if point is None else point))
        outcome = self.run("-sc", "query=bash", **options)
        assert (outcome.code, outcome.err) == (0, "")
        return outcome.out.splitlines()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        pytest.param("mod", ["model=", "model."], id="a group and its section"),
        pytest.param("model=", ["model=large", "model=medium", "model=small", "model=xl"], id="options"),
        pytest.param("model=s", ["model=small"], id="one option"),
        pytest.param("model.n_", ["model.n_positions=", "model.n_embd=", "model.n_layer=", "model.n_head="], id="keys"),
        pytest.param(
            "training.schedule=", [f"training.schedule={each}" for each in ("cosine", "linear", "constant", "wsd")], id="choice"
        ),
        pytest.param("training.schedule=cosine,l", ["training.schedule=cosine,linear"], id="of a sweep"),
        pytest.param("model=xl,sm", ["model=xl,small"], id="options of a sweep"),
        pytest.param("dry_run=", ["dry_run=true", "dry_run=false"], id="true or false"),
        pytest.param("++training.device=c", ["++training.device=cpu", "++training.device=cuda"], id="plus"),
        pytest.param("~tok", ["~tokenizer", "~tokenizer."], id="tilde"),
        pytest.param('"training.dev', ["training.device="], id="quoted"),
        pytest.param("hydra.sweep.", ["hydra.sweep.dir=", "hydra.sweep.subdir="], id="Hydra's keys"),
        pytest.param("hydra/launcher=ba", ["hydra/launcher=basic"], id="Hydra's options"),
        pytest.param("--cfg ", ["job", "hydra", "all"], id="what an option takes"),
        pytest.param("--mult", ["--multirun"], id="an option"),
        pytest.param("model.n_head=", [], id="any number"),
        pytest.param("data.path=./", [], id="any text: the shell proposes files"),
        pytest.param("zzz", [], id="nothing"),
        pytest.param("zzz=", [], id="no such key"),
    ],
)
def test_keys_that_may_follow(complete: Completer, word: str, expected: list[str]) -> None:
    assert complete(f"python train.py model=xl {word}") == expected


def test_only_the_text_before_the_cursor_is_completed(complete: Completer) -> None:
    assert complete("python train.py model=s training.seed=3", len("python train.py model=s")) == ["model=small"]


def test_the_first_argument_may_be_anything(complete: Completer) -> None:
    assert complete("python generate.py ", config_name="generate")[:3] == ["hydra.", "checkpoint=", "prompt="]


def test_options_of_a_users_folder_are_completed(complete: Completer) -> None:
    (complete.run.folder / "mine/model").mkdir(parents=True)
    (complete.run.folder / "mine/model/tiny.yaml").write_text("n_layer: 2\n")
    assert complete("train.py --config-dir mine model=t") == ["model=tiny"]


def test_a_broken_conf_tree_still_completes_without_an_error(complete: Completer) -> None:
    conf = shutil.copytree(CONF_DIR, complete.run.folder / "conf")
    (conf / "train.yaml").write_text("defaults: [train_schema\n")
    assert complete("train.py training.sch", config_path=str(conf)) == ["training.schedule="]


# ------------------------------------------------------------------------------------------------------------ scripts


LINES = {
    "python train.py training.schedule=c": {"training.schedule=cosine", "training.schedule=constant"},
    "python train.py model=l": {"model=large"},
    "python train.py data.path=./no": {"data.path=./notes.txt"},
    "python other.py model=l": set(),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A current directory with the two programs."""
    for name in ("train.py", "generate.py"):
        shutil.copy(CONF_DIR.parent / name, tmp_path)
    (tmp_path / "other.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "notes.txt").touch()
    return tmp_path


def ask(shell: str, script: str, folder: Path) -> str:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(CONF_DIR.parent),
    }
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, check=True, cwd=folder, env=environment)
    return done.stdout


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize("breaks", [True, False], ids=["readline breaks at =", "readline does not"])
def test_bash_completes(folder: Path, capsys: pytest.CaptureFixture[str], breaks: bool) -> None:
    script = run_command(capsys, "completion", "bash")[1] + 'COMP_WORDBREAKS="${COMP_WORDBREAKS//=}="\n' * breaks
    script += 'COMP_WORDBREAKS="${COMP_WORDBREAKS//=}"\n' * (not breaks)
    script += 'answer() { COMP_LINE="$1"; COMP_POINT=${#1}; COMPREPLY=(); _gpt2hydra; IFS=" "; echo "${COMPREPLY[*]}"; }\n'
    script += "".join(f'answer "{line}"\n' for line in LINES)
    answers = [set(line.split()) for line in ask("bash", script, folder).splitlines()]
    expected = [{each.partition("=")[2] if breaks else each for each in words} for words in LINES.values()]
    assert answers == expected


@pytest.mark.skipif(not shutil.which("fish"), reason="needs fish")
def test_fish_completes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = run_command(capsys, "completion", "fish")[1]
    script += "\n".join(f'complete -C "{line}"; echo ---' for line in [*LINES][:3])
    answers = [set(part.split()) for part in ask("fish", script, folder).split("---\n")]
    assert answers[:3] == [*LINES.values()][:3]


def test_an_answer_needs_no_torch(folder: Path) -> None:
    code = (
        "import sys; sys.argv = ['train.py', '-sc', 'query=bash']; from gpt2hydra.launch.programs import train; train();"
        "print([each for each in ('torch', 'transformers', 'numpy') if each in sys.modules])"
    )
    environment = {**os.environ, "COMP_LINE": "train.py model=s", "COMP_POINT": "16", "PYTHONPATH": str(CONF_DIR.parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder, env=environment)
    assert done.stdout == "model=small\n[]\n"
