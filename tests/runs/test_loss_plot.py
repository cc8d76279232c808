"""loss.png."""

import errno
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

from gpt2hydra.runs import loss_plot
from gpt2hydra.runs.loss_plot import LossPlot, draw
from gpt2hydra.runs.metrics_csv import Row

ROWS = [Row(0, 0, None, 5.5, None, None, None), Row(1, 8, 5.0, 4.5, 0.1, 1.0, 9.0)]


@pytest.mark.parametrize("rows", [pytest.param(ROWS[:1], id="untrained only"), pytest.param(ROWS, id="one step"), []])
def test_a_picture_is_drawn_of_any_run(rows: list[Row], tmp_path: Path) -> None:
    draw(rows, "GPT-2", tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [path.name for path in tmp_path.iterdir()] == ["loss.png"]


def test_a_picture_has_two_panels_over_logarithmic_and_linear_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np
    from matplotlib.figure import Figure

    drawn: list[Figure] = []

    def keep(self: Figure, file: Path, **_: Any) -> None:
        drawn.append(self)
        file.touch()

    monkeypatch.setattr(Figure, "savefig", keep)
    rows = [Row(step, step, 5 - step / 1000, None, 0.1, 1.0, 9.0) for step in range(0, 1001, 50)]
    draw(rows, "GPT-2 on a text", tmp_path / "loss.png")
    whole, rest = drawn[0].axes
    assert (whole.get_xscale(), rest.get_xscale()) == ("symlog", "linear")
    assert np.asarray(rest.lines[0].get_xdata())[0] == 100  # the first tenth is left to the other panel
    assert drawn[0].get_suptitle() == "GPT-2 on a text"


def test_it_is_drawn_again_only_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, drawn = [100.0], []

    def slowly(rows: Any, *_: Any) -> None:
        drawn.append(len(rows))
        now[0] += 2

    monkeypatch.setattr(loss_plot, "draw", slowly)
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    plot = LossPlot(tmp_path / "loss.png", "GPT-2")
    for seconds, rows in ((0, 1), (190, 2), (20, 3)):  # 2 s are a hundredth of 200 s
        now[0] += seconds
        plot.update([*ROWS, *ROWS][:rows])
    plot.update(ROWS, last=True)
    assert drawn == [1, 3, 2]


def test_a_full_disk_is_told_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(loss_plot, "draw", full)
    assert LossPlot(tmp_path / "loss.png", "GPT-2").update(ROWS) == "No space left on device"
