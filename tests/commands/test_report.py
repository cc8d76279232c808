"""``gpt2hydra report``."""

from pathlib import Path

import pytest

from tests.commands.test_main import run_command
from tests.runs.runs_to_compare import make_sweep


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    make_sweep(tmp_path / "sweep", seeds=1)
    (tmp_path / "empty").mkdir()


def test_the_page_is_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("plotly")
    assert run_command(capsys, "report", "sweep", "--filter", "n_layer=2") == (0, "wrote report.html\n", "")
    page = Path("report.html").read_text()
    assert "<h1>Runs of sweep</h1>" in page and "3 runs, by gpt2hydra" in page
    assert 'src="http' not in page and 'href="http' not in page.partition("<body>")[2]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["sweep", "--output", "no/report.html"], "must be a file in a folder that exists", id="folder"),
        pytest.param(["sweep", "--output", "report.txt"], "must end in .html", id="another format"),
        pytest.param(["empty"], "empty\n    contains no run", id="no run"),
        pytest.param(["nowhere"], "nowhere\n    is not a folder", id="no folder"),
        pytest.param(["sweep", "--filter", "n_layers=2"], "did you mean", id="a filter of no column"),
    ],
)
def test_what_cannot_be_reported_is_refused(capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str) -> None:
    pytest.importorskip("plotly")
    code, out, err = run_command(capsys, "report", *arguments)
    assert (code, out) == (1, "") and err.startswith("1 problem in the command line.\n\n") and expected in err
    assert not Path("report.html").exists()


def test_without_plotly_the_command_to_type_is_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpt2hydra.launch.extras.find_spec", lambda name: None)
    code, _, err = run_command(capsys, "report", "sweep")
    assert code == 1 and "--output = report.html\n    needs plotly, not installed; " in err and "pip install" in err
