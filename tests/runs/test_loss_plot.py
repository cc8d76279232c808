"""loss.png."""

import errno
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

from gpt2hydra.runs import loss_plot
from gpt2hydra.runs.loss_plot import LossPlot, draw
from gpt2hydra.runs.metrics_csv import Measurement

ROWS = [Measurement(0, 0, None, 5.5, None, None, None), Measurement(1, 8, 5.0, 4.5, 0.1, 1.0, 9.0)]


@pytest.mark.parametrize("rows", [pytest.param(ROWS[:1], id="untrained only"), pytest.param(ROWS, id="one step"), []])
def test_a_picture_is_drawn_of_any_run(rows: list[Measurement], tmp_path: Path) -> None:
    draw(rows, "GPT-2", tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [path.name for path in tmp_path.iterdir()] == ["loss.png"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that were saved."""
    from matplotlib.figure import Figure

    saved: list[Any] = []

    def keep(self: Figure, file: Path, **_: Any) -> None:
        self.draw_without_rendering()
        saved.append(self)
        file.touch()

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


def curve(steps: range, evaluated: int) -> list[Measurement]:
    return [
        Measurement(step, step, 5 - step / 1000, 5 - step / 1100 if step % evaluated == 0 else None, 0.1, 1.0, 9.0)
        for step in steps
    ]


def test_the_first_steps_of_a_long_run_are_left_out(drawn: list[Any], tmp_path: Path) -> None:
    draw(curve(range(0, 1001, 10), 100), "GPT-2 on a text", tmp_path / "loss.png")
    (axes,) = drawn[0].axes
    training, validation = ([int(step) for step in line.get_xdata()] for line in axes.lines)
    assert (training[0], validation[0], validation[-1]) == (50, 100, 1000)
    assert axes.get_xlabel() == "step (before 50: not shown)"
    assert axes.get_title(loc="left") == "GPT-2 on a text"


def test_a_run_of_few_evaluations_is_drawn_from_its_start(drawn: list[Any], tmp_path: Path) -> None:
    draw(curve(range(0, 101, 10), 100), "GPT-2", tmp_path / "loss.png")
    (axes,) = drawn[0].axes
    assert [int(line.get_xdata()[0]) for line in axes.lines] == [0, 0] and axes.get_xlabel() == "step"


def test_markers_are_within_the_axes_and_the_last_value_is_written_after_the_curve(drawn: list[Any], tmp_path: Path) -> None:
    draw(curve(range(0, 1001, 10), 100), "GPT-2", tmp_path / "loss.png")
    (axes,) = drawn[0].axes
    (value,), (left, right) = axes.texts, axes.get_xlim()
    assert left < 50 and right > 1000
    assert value.get_text() == "4.091"
    assert value.get_window_extent().x0 > axes.transData.transform((1000, 4.091))[0]


def test_the_plot_is_redrawn_only_occasionally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_full_disk_is_reported_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(loss_plot, "draw", full)
    assert LossPlot(tmp_path / "loss.png", "GPT-2").update(ROWS) == "No space left on device"
