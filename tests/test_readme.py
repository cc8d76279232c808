"""Every command and every line of Python in the README does what it says."""

import re
import shlex

import pytest

import gpt2hydra
from gpt2hydra import GPT2Config, sizing
from gpt2hydra.cli.commands import main
from gpt2hydra.config.gpt2 import CONF_DIR
from tests.command_line import CommandLine

README = (CONF_DIR.parent / "README.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line, comments=True) for line in re.findall(r"^\$ (.*)$", README, re.MULTILINE)]
TRAIN = [command[2:] for command in COMMANDS if command[:2] == ["python", "train.py"]]
GPT2HYDRA = [command[1:] for command in COMMANDS if command[0] == "gpt2hydra"]


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    ci = (CONF_DIR.parent / ".ci/run").read_text(encoding="utf-8")
    commands = README.partition("## Tests")[2].partition("## ")[0]
    for command in re.findall(r"^\$ (?:pip install )?(.*)$", commands, re.MULTILINE):
        assert command in ci


def test_the_refusal_is_the_one_that_is_shown(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = README.partition("$ python train.py model=large model.n_head=7 model.n_hed=3\n")[2].partition("```")[0]
    monkeypatch.chdir(CONF_DIR.parent)
    assert run("model=large", "model.n_head=7", "model.n_hed=3").err == shown


@pytest.mark.parametrize("arguments", TRAIN, ids=" ".join)
def test_a_training_command_is_valid(run: CommandLine, arguments: list[str]) -> None:
    (run.folder / "text").mkdir()
    for name in ("my.txt", "text/1.txt"):
        (run.folder / name).write_text("To be, or not to be. " * 300_000)
    refused = any("n_head=7" in each for each in arguments)
    outcome = run(*arguments, "dry_run=true")
    assert (outcome.code, outcome.configs) == (1 if refused and "-m" not in arguments else 0, [])


@pytest.mark.parametrize("arguments", GPT2HYDRA, ids=" ".join)
def test_a_gpt2hydra_command_works(run: CommandLine, arguments: list[str]) -> None:
    if "--plot" in arguments:
        pytest.importorskip("matplotlib")
    main(arguments)
    assert run.capfd.readouterr().out


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL), ids=["from Python", "your own program"])
def test_the_python_of_the_readme_runs(code: str) -> None:
    exec(code, {"__name__": "readme"})


def test_the_table_of_sizes_is_right() -> None:
    for name, config in GPT2Config.presets().items():
        row = f"| `{name}` | {config.n_layer} | {config.n_embd} | {config.n_head} | {sizing.parameters(config).total:,} |"
        assert row in README


def test_the_quickstart_is_there() -> None:
    assert ["experiment=quickstart"] in TRAIN
    assert gpt2hydra.compose("train", ["experiment=quickstart"]).training.max_steps == 1100
