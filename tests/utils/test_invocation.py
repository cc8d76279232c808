"""What is typed to start this program, or another of ours, once more."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.utils.invocation import find_program, this_program, torchrun_command

PYTHON = Path(sys.executable).name

STARTED = [
    pytest.param("train.py", None, f"{PYTHON} train.py", "train.py", id="script"),
    pytest.param("a folder/train.py", None, f'{PYTHON} "a folder/train.py"', '"a folder/train.py"', id="script with a space"),
    pytest.param("/venv/bin/gpt2hydra-train", None, "gpt2hydra-train", "--no-python gpt2hydra-train", id="command"),
    pytest.param("/app/my/finetune.py", "my.finetune", f"{PYTHON} -m my.finetune", "-m my.finetune", id="module"),
    pytest.param("/app/my/__main__.py", "my.__main__", f"{PYTHON} -m my", "-m my", id="package"),
]


@pytest.mark.parametrize(("file", "module", "alone", "shared"), STARTED)
def test_the_program_is_named_as_it_was_started(
    monkeypatch: pytest.MonkeyPatch, file: str, module: str | None, alone: str, shared: str
) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", ModuleSpec(module, None, origin=file) if module else None)
    monkeypatch.setattr(sys, "argv", [file, "model=xl", "data.path=my text"])
    assert this_program().command() == this_program().current_command() == alone
    assert torchrun_command(4) == f'torchrun --nproc-per-node 4 {shared} model=xl "data.path=my text"'


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        pytest.param({"LOCAL_WORLD_SIZE": "4", "GROUP_WORLD_SIZE": "1"}, "--nproc-per-node 4", id="one"),
        pytest.param({"LOCAL_WORLD_SIZE": "8", "GROUP_WORLD_SIZE": "2"}, "--nnodes 2 ... --nproc-per-node 8", id="two"),
    ],
)
def test_torchrun_is_part_of_how_a_run_was_started_on_one_machine_or_two(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], options: str
) -> None:
    monkeypatch.setattr(sys, "argv", [str(CONF_DIR.parent / "train.py")])
    monkeypatch.chdir(CONF_DIR.parent)
    for name, value in (environment | {"TORCHELASTIC_RUN_ID": "none"}).items():
        monkeypatch.setenv(name, value)
    assert find_program("train").current_command() == f"torchrun {options} train.py"
    assert find_program("generate").command() == f"{PYTHON} generate.py"


def test_our_programs_are_scripts_in_the_checkout_and_commands_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(CONF_DIR.parent)
    assert find_program("train").command() == f"{PYTHON} train.py"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").touch()
    assert find_program("train").command() == "gpt2hydra-train"
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert find_program("train").command() == f"{PYTHON} train.py"
    assert find_program("generate").command() == "gpt2hydra-generate"
