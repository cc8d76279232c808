"""Every command and every line of Python in the README and in docs/ does what it says."""

import contextlib
import io
import json
import re
import shlex
from pathlib import Path

import pytest

import gpt2hydra
from gpt2hydra import GPT2Config, TrainConfig, sizing
from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.commands.main import main
from gpt2hydra.config.gpt2 import CONF_DIR
from tests.checkpoints import write_bpe, write_checkpoint
from tests.command_line import CommandLine
from tests.run_directories import make_run
from tests.runs.runs_to_compare import make_sweep

ROOT = CONF_DIR.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
    for file in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]
}


def commands_of(page: str) -> list[str]:
    """Each line after a ``$`` in a block of ``console``, without its comment."""
    blocks = re.findall(r"^```console\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE)]


COMMANDS = sorted({part for page in PAGES for command in commands_of(page) for part in command.split(" && ")})
IN_CI = {part for command in commands_of("README.md")[:2] for part in command.split(" && ")[:3]}
"""What the README's first two lines do before they train: ``.ci/run`` runs both lines as they stand there."""


@pytest.fixture
def furnished(run: CommandLine) -> CommandLine:
    """A folder that holds what the documents speak of: texts, a tokenizer's files, a run."""
    (run.folder / "text").mkdir()
    for name in ("my.txt", "text/1.txt"):
        (run.folder / name).write_text("To be, or not to be. " * 5_000)
    (run.folder / "prompts.txt").write_text("To be\nOr not\n")
    write_bpe(run.folder / "gpt2")
    (run.folder / "my_conf/model").mkdir(parents=True)
    (run.folder / "my_conf/model/tiny.yaml").write_text("n_layer: 2\n")
    folder = make_run(run.folder / "outputs/2026-01-31/12-00-00", TrainConfig(), step=500)
    write_checkpoint(run_checkpoints.checkpoint_dir(folder, 500))
    return run


@pytest.mark.parametrize("command", COMMANDS, ids=[shlex.join(shlex.split(command, comments=True)) for command in COMMANDS])
def test_a_command_works(furnished: CommandLine, command: str) -> None:
    program, *arguments = shlex.split(command, comments=True)
    if program == "gpt2hydra":
        needed = {
            "--plot": "matplotlib",
            "--curves": "matplotlib",
            "report": "plotly",
            "tokenize": "numpy",
            "evaluate": "torch",
        }
        for word in needed.keys() & set(arguments):
            pytest.importorskip(needed[word])
        if "sweeps/first" in arguments:
            make_sweep(furnished.folder / "sweeps/first", seeds=2)
        try:
            main(arguments)
        except SystemExit as stop:
            assert (arguments[0], stop.code) == ("diff", 1)  # as diff does where something differs
        assert furnished.capfd.readouterr().out
    elif program == "python" and arguments[0] in ("train.py", "generate.py"):
        refused = "-m" not in arguments and any("n_head=7" in each for each in arguments)
        outcome = furnished(*arguments[1:], "dry_run=true", config_name=Path(arguments[0]).stem)
        assert (outcome.code, outcome.configs) == (int(refused), []), outcome.err
    else:
        assert command in IN_CI


def test_two_lines_are_all_of_a_first_contact() -> None:
    first, second = commands_of("README.md")[:2]
    assert first == (
        'python3 -m venv .venv && . .venv/bin/activate && pip install -e ".[train,test]" '
        "&& python train.py experiment=quickstart"
    )
    assert second == "python -m pytest"


def test_the_refusal_is_the_one_that_is_shown(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = README.partition("$ python train.py model=large model.n_head=7 model.n_hed=3\n")[2].partition("```")[0]
    monkeypatch.chdir(ROOT)
    assert run("model=large", "model.n_head=7", "model.n_hed=3").err == shown


PYTHON = [
    pytest.param(code, id=f"{page}, {number}")
    for page, content in PAGES.items()
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", content, re.DOTALL), 1)
]


@pytest.mark.parametrize("code", PYTHON)
def test_the_python_of_a_page_runs(code: str) -> None:
    exec(code, {"__name__": "documentation"})


def test_the_notebook_runs_and_prints_what_it_shows(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in ("torch", "matplotlib"):
        pytest.importorskip(needed)
    monkeypatch.setenv("MPLBACKEND", "agg")
    cells = json.loads((ROOT / "docs/example.ipynb").read_text(encoding="utf-8"))["cells"]
    names = {"__name__": "notebook"}
    for cell in cells:
        if cell["cell_type"] == "code":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec("".join(cell["source"]), names)
            shown = "".join(line for output in cell["outputs"] for line in output.get("text", []))
            last = printed.getvalue().splitlines()[-1:]  # a run prints its speed before
            assert shown.splitlines()[-1:] == last


def test_the_table_of_sizes_is_right() -> None:
    for name, config in GPT2Config.presets().items():
        row = f"| `{name}` | {config.n_layer} | {config.n_embd} | {config.n_head} | {sizing.parameters(config).total:,} |"
        assert row in README


def test_the_quickstart_is_there() -> None:
    assert "python train.py experiment=quickstart" in COMMANDS
    assert gpt2hydra.compose("train", ["experiment=quickstart"]).training.max_steps == 1100


def test_no_page_names_a_file_that_is_not_there() -> None:
    for page, content in PAGES.items():
        links = [link for link in re.findall(r"\]\(([^)#]+)\)", content) if not link.startswith("https:")]
        assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == [], page


def test_contributors_run_what_ci_runs() -> None:
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert all(check in PAGES["CONTRIBUTING.md"] and check in ci for check in ("ruff check .", "ruff format", "mypy"))


def test_a_release_has_one_version() -> None:
    assert f"\nversion: {gpt2hydra.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## [{gpt2hydra.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_each_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page for page in PAGES if page.startswith("docs/") and f": {Path(page).name}\n" not in navigation] == []
