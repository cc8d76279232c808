"""``gpt2hydra runs``."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpt2hydra.commands.main import main
from tests.run_directories import make_run
from tests.runs.test_comparison import config


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two finished runs below ``outputs/``, in an empty current directory."""
    monkeypatch.chdir(tmp_path)
    for number, (rate, loss) in enumerate([(1e-3, 1.75), (3e-3, 1.5)]):
        make_run(tmp_path / f"outputs/day/{number}", config(f"training.learning_rate={rate}"), step=50, loss=loss)
    return tmp_path


def test_runs_of_outputs_are_listed_without_a_word(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["runs"])
    said = capsys.readouterr()
    assert (said.err, said.out.splitlines()[1].split()) == ("", ["day/1", "0.003", "finished", "1.5000"])


def test_forms_for_a_spreadsheet_and_a_program(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["runs", "outputs", "--csv"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == {
        "run": "day/1",
        "training.learning_rate": "0.003",
        "state": "finished",
        "step": "50",
        "validation_loss": "1.5",
    }
    main(["runs", "outputs", "--json"])
    assert [each["validation_loss"] for each in json.loads(capsys.readouterr().out)] == [1.5, 1.75]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["nowhere"], "DIR = nowhere\n    is not a folder", id="no folder"),
        pytest.param(["empty"], "DIR = empty\n    has no run below it", id="no run"),
        pytest.param(["outputs", "--plot", "loss.txt"], "must end in one of .png", id="no picture"),
        pytest.param(["outputs/day/0", "--plot", "loss.png"], "these differ: none", id="nothing to draw"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (here / "empty").mkdir()
    if arguments[-1] == "loss.png":
        pytest.importorskip("matplotlib")
    with pytest.raises(SystemExit) as stop:
        main(["runs", *arguments])
    assert (stop.value.code, said in capsys.readouterr().err) == (1, True)


def test_torch_is_not_imported(here: Path) -> None:
    program = (
        "import sys; from gpt2hydra.commands.main import main; main(['runs'])\n"
        "assert not {'torch', 'transformers', 'numpy', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
