"""``gpt2hydra runs``: the table, its forms, the pictures, and what is refused."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.test_main import run_command
from tests.run_directories import make_run
from tests.runs.runs_to_compare import config, write_losses


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two finished runs below ``outputs/``, in an empty current directory."""
    monkeypatch.chdir(tmp_path)
    for number, (rate, loss) in enumerate([(1e-3, 1.75), (3e-3, 1.5)]):
        run = make_run(tmp_path / f"outputs/day/{number}", config(f"training.learning_rate={rate}"), step=50, loss=loss)
        write_losses(run, (0, 5.0), (10, 2.5), (50, loss))
    return tmp_path


def test_runs_of_outputs_are_listed_by_default(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_command(capsys, "runs")
    assert (code, err, out.splitlines()[1].split()) == (0, "", ["day/1", "0.003", "finished", "1.5000"])


@pytest.mark.parametrize(
    ("options", "names"),
    [
        pytest.param(["--sort", "learning_rate"], ["day/0", "day/1"], id="sorted"),
        pytest.param(["--sort=-learning_rate"], ["day/1", "day/0"], id="the largest first"),
        pytest.param(["--filter", "learning_rate<2e-3 state=finished"], ["day/0"], id="filtered"),
        pytest.param(["--columns", "run,step"], ["day/1", "day/0"], id="columns"),
    ],
)
def test_each_listed_option_can_be_chosen(
    here: Path, capsys: pytest.CaptureFixture[str], options: list[str], names: list[str]
) -> None:
    code, out, err = run_command(capsys, "runs", *options)
    assert (code, err, [line.split()[0] for line in out.splitlines()[1:]]) == (0, "", names)


def test_a_table_is_as_wide_as_the_terminal(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = run_command(capsys, "runs")[1]
    assert out.splitlines()[0].split() == ["run", "state", "validation", "loss"]
    assert out.endswith("\n\n1 more key differs: training.learning_rate\n")


def test_forms_for_a_spreadsheet_and_a_program(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"run": "day/1", "training.learning_rate": "0.003", "state": "finished", "step": "50", "validation_loss": "1.5"}
    assert next(csv.DictReader(io.StringIO(run_command(capsys, "runs", "outputs", "--csv")[1]))) == row
    everything = json.loads(run_command(capsys, "runs", "outputs", "--json")[1])
    assert [each["validation_loss"] for each in everything] == [1.5, 1.75]
    groups = json.loads(run_command(capsys, "runs", "outputs", "--json", "--by", "seed")[1])
    assert groups[0]["n"] == 2 and groups[0]["mean_validation_loss"] == 1.625


def test_pictures_are_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    arguments = ("runs", "--plot", "loss.png", "--x", "learning_rate", "--curves", "curves.svg")
    assert run_command(capsys, *arguments) == (0, "wrote loss.png\nwrote curves.svg\n", "")
    assert Path("loss.png").read_bytes().startswith(b"\x89PNG") and "<svg" in Path("curves.svg").read_text()


def test_a_damaged_record_is_reported_and_left_out(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("outputs/day/2").mkdir()
    Path("outputs/day/2/run.json").write_text("{")
    code, out, err = run_command(capsys, "runs")
    assert (code, out.count("day/")) == (0, 2) and err.startswith("skipped: outputs/day/2/run.json is not JSON")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["nowhere"], "nowhere\n    is not a folder", id="no folder"),
        pytest.param(["empty"], "empty\n    contains no run", id="no run"),
        pytest.param(["damaged"], "damaged/run.json\n    is not JSON", id="damaged records alone"),
        pytest.param(["--plot", "loss.txt"], "--plot = loss.txt\n    must end in one of .png", id="no picture"),
        pytest.param(["--curves", "no/loss.png"], "must be a file in a folder that exists", id="no such folder"),
        pytest.param(["outputs/day/0", "--plot", "loss.png"], "no key differs", id="nothing to draw"),
        pytest.param(["--x", "seed"], "add --plot FILE.png", id="an axis without a plot"),
        pytest.param(["--columns", "seed", "--by", "seed"], "--by shows groups", id="columns of groups"),
        pytest.param(["--sort", "loss"], "--sort = loss\n    no run has this column; did you mean", id="no such order"),
        pytest.param(["--columns", "run,sed"], "--columns = sed\n    no run has this", id="no such column"),
        pytest.param(["--by", "zebra"], "--by = zebra\n    no run has this column; known: ", id="no such group"),
        pytest.param(["--filter", "trainig.seed=1"], "did you mean training.seed?", id="no such key in a filter"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    for folder in ("empty", "damaged"):
        Path(folder).mkdir()
    Path("damaged/run.json").write_text("{")
    if arguments[-1].endswith("loss.png"):
        pytest.importorskip("matplotlib")
    code, out, err = run_command(capsys, "runs", *arguments)
    assert (code, out) == (1, "") and err.startswith("1 problem in the command line.\n\n") and expected in err


def test_torch_is_not_imported(here: Path) -> None:
    program = (
        "import sys; from gpt2hydra.commands.main import main; main(['runs'])\n"
        "assert not {'torch', 'transformers', 'numpy', 'matplotlib', 'plotly'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
