"""The first moments of a program: a signal, and a missing package."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from gpt2hydra.config.gpt2 import CONF_DIR

ROOT = CONF_DIR.parent

SIGNAL_AT_IMPORT = """\
import os, sys

class Signal:
    def find_spec(self, name, path, target=None):
        if name == os.environ["IMPORTED"]:
            os.kill(os.getpid(), int(os.environ["SIGNUM"]))
            for _ in range(10**7):  # Python calls the handler at once; where there is none, the process has ended
                pass

sys.meta_path.insert(0, Signal())
"""
"""A ``sitecustomize`` by which a process sends itself a signal when a module is imported."""

NEEDS_PYTORCH = pytest.mark.skipif(find_spec("torch") is None, reason="needs PyTorch")


@pytest.mark.parametrize(
    ("signum", "name"), [pytest.param(2, "Ctrl-C", id="SIGINT"), pytest.param(15, "SIGTERM", id="SIGTERM")]
)
@pytest.mark.parametrize(
    "imported",
    [
        pytest.param("hydra", id="the first imports"),
        pytest.param("gpt2hydra.launch.run", id="composition"),
        pytest.param("torch._C", marks=NEEDS_PYTORCH, id="PyTorch"),
    ],
)
def test_a_signal_before_the_first_step_is_one_sentence(tmp_path: Path, imported: str, signum: int, name: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(SIGNAL_AT_IMPORT)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "IMPORTED": imported, "SIGNUM": str(signum)}
    command = [sys.executable, str(ROOT / "train.py"), "experiment=quickstart"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    message = "importing PyTorch ...\n" * imported.startswith("torch")
    assert (done.returncode, done.stdout, done.stderr) == (128 + signum, "", f"{message}\nInterrupted by {name}.\n")


@pytest.mark.parametrize("environment", [pytest.param(True, id="not active"), pytest.param(False, id="none")])
def test_without_hydra_the_command_that_helps_is_named(tmp_path: Path, environment: bool) -> None:
    if environment:
        (tmp_path / ".venv/bin").mkdir(parents=True)
        (tmp_path / ".venv/bin/activate").touch()
    command = [sys.executable, "-S", str(ROOT / "train.py"), "model=xl"]  # -S: without installed packages
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    reported, command_to_try = done.stderr.splitlines()
    assert reported == f"hydra is not installed for {sys.executable}; is the virtual environment active?"
    rest = "" if environment else f" && pip install -e '{ROOT}[train]'"
    assert command_to_try.endswith(f". .venv/bin/activate{rest}")


def test_a_mistake_of_the_package_itself_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    from gpt2hydra.launch import entry_points

    def missing(_: str) -> None:
        raise ModuleNotFoundError("No module named 'gpt2hydra.launch.nothing'", name="gpt2hydra.launch.nothing")

    monkeypatch.setattr(entry_points, "import_module", missing)
    monkeypatch.setattr(entry_points, "exit_on_signal", lambda: None)
    with pytest.raises(ModuleNotFoundError):
        entry_points.train()
