"""The ``gpt2hydra`` command: its list of commands, size and explain."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpt2hydra.commands import main as main_module
from gpt2hydra.commands.main import main


def run_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = 0
    try:
        main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_size_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_command(capsys, "size", "model=medium", "hardware=l4", "--json")
    assert (code, json.loads(out)["parameters"]["total"]) == (0, 354_823_168)


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        pytest.param(["size", "model=xll"], 1, "try: model=xl\n", id="unknown size"),
        pytest.param(["size", "hardware=a100"], 1, "must be one of a100_40gb", id="unknown device"),
        pytest.param(["size", "training.precision=fp8"], 1, "must be one of fp32, bf16, bf16_pure", id="unknown precision"),
        pytest.param(["size", "training.batch_size=0"], 1, "training.batch_size = 0", id="no batch"),
        pytest.param(["size", "training.seq_len=2048"], 1, "must be ≤ model.n_positions = 1024", id="long sequence"),
        pytest.param(
            ["size", "--plot", "sizes.jpeg"],
            1,
            "1 problem in the command line.\n\n  --plot = sizes.jpeg\n",
            id="picture format",
        ),
        pytest.param(["size", "--plot", "no/such/folder/x.png"], 1, "in a folder that exists", id="picture folder"),
        pytest.param(["explain", "model.n_hed"], 1, "did you mean model.n_head?", id="unknown key"),
        pytest.param(["explain", "model=xll"], 1, "try: model=xl\n", id="explain what is refused"),
        pytest.param(["sise"], 2, "gpt2hydra: error: there is no command sise; did you mean size?\n", id="misspelt command"),
        pytest.param(["zip"], 2, "there is no command zip; known: check, completion, diff, ", id="unknown command"),
        pytest.param(["train", "model=xl"], 2, "train is a separate program\n  try: ", id="a program"),
        pytest.param(["size", "--bogus", "model=xl"], 2, "gpt2hydra size: error: unrecognized", id="unknown option"),
        pytest.param([], 2, "\n    check         check every YAML file of a conf tree\n", id="no command"),
    ],
)
def test_a_wrong_command(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, expected: str) -> None:
    actual, out, err = run_command(capsys, *arguments)
    assert (actual, out) == (code, "") and expected in err and "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["size", "model=xl", "--json", "hardware=l4"], id="between overrides"),
        pytest.param(["--json", "size", "model=xl", "hardware=l4"], id="before the command"),
    ],
)
def test_an_option_may_be_anywhere(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    code, out, err = run_command(capsys, *arguments)
    assert (code, err) == (0, "")
    assert out == run_command(capsys, "size", "--json", "model=xl", "hardware=l4")[1]


def test_a_module_is_enough_for_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = '''"""``gpt2hydra say-it``: print a word."""
DESCRIPTION = "Print it."
def add_options(parser):
    parser.add_argument("word")
def run(options):
    print(options.word)
'''
    (tmp_path / "say_it.py").write_text(source)
    monkeypatch.setattr(main_module, "__file__", str(tmp_path / "main.py"))
    monkeypatch.setattr("gpt2hydra.commands.__path__", [str(tmp_path)])
    assert "    say-it        print a word\n" in run_command(capsys, "--help")[1]
    assert run_command(capsys, "say-it", "hello") == (0, "hello\n", "")


def test_the_list_of_commands_imports_none_of_them() -> None:
    code = (
        "import sys; from gpt2hydra.commands.main import commands; "
        "sys.exit(not commands().keys() >= {'size', 'import-hf'} or 'gpt2hydra.commands.size' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_names_the_programs_that_are_no_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Separate programs: python train.py and python generate.py.\n" in run_command(capsys, "--help")[1]


def test_explain_knows_the_other_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert "temperature = 0.8   the default\n" in run_command(capsys, "explain", "generate")[1]


def test_the_picture_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "sizes.png"
    assert run_command(capsys, "size", "--plot", str(file), "hardware=a100_40gb")[0] == 0
    assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "words", [["size"], ["explain"], ["explain", "training.batch_size=x"], ["diff", "model=large"]], ids=" ".join
)
def test_a_command_does_not_advise_a_sweep(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    code, _, err = run_command(capsys, *words, "model=small,medium")
    assert code == 1 and "model = small,medium\n    is a list of values; this command takes one\n" in err
    assert "-m" not in err
