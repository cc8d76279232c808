"""The figures of a report, as data."""

from pathlib import Path

import pytest

pytest.importorskip("plotly")

from gpt2hydra.runs.comparison import Comparison
from gpt2hydra.runs.report_figures import loss_curves, parallel_coordinates
from tests.run_directories import make_run
from tests.runs.runs_to_compare import config, make_sweep, write_losses


def test_a_curve_for_each_run_with_its_settings(tmp_path: Path) -> None:
    comparison = Comparison.read_below(make_sweep(tmp_path, seeds=1))
    curves = loss_curves(comparison).data
    assert [curve.name for curve in curves] == [run.name for run in comparison.runs]
    assert list(curves[0].x) == [*range(5, 51, 5)] and curves[0].y[-1] == pytest.approx(1.78, abs=0.02)
    assert "n_embd 128, learning_rate 0.001" in curves[0].hovertemplate


def test_a_name_from_a_stranger_is_no_markup(tmp_path: Path) -> None:
    for number, name in enumerate(("<b>%{x}", "other")):
        write_losses(make_run(tmp_path / str(number), config(f"hardware.name='{name}'"), step=20), (10, 2.0), (20, 1.0))
    assert "name &lt;b>% {x}" in "".join(curve.hovertemplate for curve in loss_curves(Comparison.read_below(tmp_path)).data)


def test_parallel_coordinates_have_an_axis_for_each_swept_key(tmp_path: Path) -> None:
    for number, (rate, schedule) in enumerate([("1e-4", "linear"), ("1e-2", "cosine"), ("1e-3", "cosine")]):
        overrides = (f"training.learning_rate={rate}", f"training.schedule={schedule}")
        make_run(tmp_path / str(number), config(*overrides), step=50, loss=1.0 + number)
    figure = parallel_coordinates(Comparison.read_below(tmp_path))
    assert figure is not None
    rate, schedule, loss = figure.data[0].dimensions
    assert (rate.label, list(rate.values), list(rate.ticktext)) == ("learning_rate", [-4, -2, -3], ["0.0001", "0.001", "0.01"])
    assert (schedule.label, list(schedule.values), list(schedule.ticktext)) == ("schedule", [1, 0, 0], ["cosine", "linear"])
    assert (loss.label, list(loss.values)) == ("validation loss", [1.0, 2.0, 3.0])


def test_one_run_has_no_parallel_coordinates(tmp_path: Path) -> None:
    make_run(tmp_path / "alone", config(), step=50, loss=1.5)
    assert parallel_coordinates(Comparison.read_below(tmp_path)) is None
