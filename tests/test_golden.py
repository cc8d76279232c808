"""Complete reports, as a user sees them, in ``tests/golden/``. Elsewhere tests assert keys, rules and remedies.

``python -m pytest tests/test_golden.py --rewrite-golden`` writes them again; ``git diff tests/golden`` shows
what has changed.
"""

import shlex
import shutil
from pathlib import Path

import pytest

from gpt2hydra.commands.main import main
from gpt2hydra.config.gpt2 import CONF_DIR
from tests.command_line import CommandLine, Outcome

GOLDEN = Path(__file__).parent / "golden"

REPORTS = {
    "four_mistakes": "python train.py model=large model.n_head=7 model.resid_pdrop=1.5 model.n_layer=abc model.n_hed=3",
    "override_breaks_a_rule_of_a_file": "python train.py model.n_embd=770",
    "misspelt_option": "python train.py model=lrage model.n_head=7",
    "misspelt_group_and_key": "python train.py modle=large training.sed=1",
    "mistakes_in_a_file": "python train.py --config-dir mine model=mine",
    "missing_checkpoint": "python generate.py temperature=-1",
    "invalid_points": "python train.py -m model=small,medium,large model.n_head=1,2,4,7",
    "check": "gpt2hydra check conf",
    "explain": "gpt2hydra explain model=large model.n_head=10 model.n_head model.n_inner",
    "diff": "gpt2hydra diff model=medium 'model=medium experiment=quickstart'",
}
"""Name of the file → the command that prints it."""


@pytest.fixture
def files_with_mistakes(run: CommandLine) -> None:
    """In the current directory, a size of one's own, and a copy of ``conf/`` with two more files."""
    Path("mine/model").mkdir(parents=True)
    Path("mine/model/mine.yaml").write_text("n_layer: 012\nn_embed: 64\nn_head: 12.0\n")
    shutil.copytree(CONF_DIR, "conf")
    Path("conf/hardware/mine.yaml").write_text("memory_gb: 80\nname: no\n")
    Path("conf/experiment/mine.yaml").write_text("# @package _global_\nmodel:\n  n_hed: 3\n  lr: 1\ntraining.seed: 3\n")


def printed_by(command: str, run: CommandLine) -> Outcome:
    program, *arguments = shlex.split(command)
    if program == "gpt2hydra":
        run.capfd.readouterr()
        try:
            main(arguments)
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Outcome(code, *run.capfd.readouterr())
    return run(*arguments[1:], config_name=Path(arguments[0]).stem)


@pytest.mark.usefixtures("files_with_mistakes")
@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_the_one_in_the_golden_file(
    name: str, run: CommandLine, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if name not in ("check", "mistakes_in_a_file"):
        monkeypatch.chdir(CONF_DIR.parent)  # origins are shown relative to it
    outcome = printed_by(REPORTS[name], run)
    assert outcome.configs == []
    report = f"$ {REPORTS[name]}\n{outcome.out}{outcome.err}[exit code {outcome.code}]\n"
    file = GOLDEN / f"{name}.txt"
    if request.config.getoption("--rewrite-golden"):
        file.write_text(report, encoding="utf-8")
    assert report == file.read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == set(REPORTS)
