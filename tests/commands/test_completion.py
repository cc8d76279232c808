"""``gpt2hydra completion``: a script for each shell."""

import shutil
import subprocess

import pytest

from tests.commands.test_main import run_command


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_names_the_programs(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    code, out, _ = run_command(capsys, "completion", shell)
    assert code == 0 and all(name in out for name in ("gpt2hydra-train gpt2hydra-generate", "train.py generate.py"))
    assert "@SCRIPTS@" not in out and "@COMMANDS@" not in out
    assert "mine.py" in run_command(capsys, "completion", shell, "tools/mine.py", "mine")[1]
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=out, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_an_unknown_shell_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run_command(capsys, "completion", "tcsh")
    assert code == 2 and "choose from" in err
