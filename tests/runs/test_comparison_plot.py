"""Pictures of runs compared."""

import re
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.runs.comparison import Comparison
from gpt2hydra.runs.comparison_plot import plot_curves, plot_losses
from tests.run_directories import make_run
from tests.runs.runs_to_compare import config, make_sweep, write_losses


def words(picture: Path) -> list[str]:
    """The texts of an SVG, in the order in which they are drawn."""
    return re.findall(r"<!-- (.*?) -->", picture.read_text())


@pytest.fixture
def sweep(tmp_path: Path) -> Comparison:
    """Architecture × learning rate × seed, and a run that was interrupted."""
    make_sweep(tmp_path)
    shape = ("model.n_layer=4", "model.n_embd=128", "model.n_head=4", "training.learning_rate=1e-3", "training.seed=9")
    write_losses(make_run(tmp_path / "interrupted", config(*shape), step=20), (10, 3.0), (20, 2.4))
    return Comparison.read_below(tmp_path)


def test_a_standard_sweep_is_a_line_for_each_architecture_over_the_learning_rate(sweep: Comparison, tmp_path: Path) -> None:
    plot_losses(sweep, tmp_path / "loss.svg")
    drawn = words(tmp_path / "loss.svg")
    assert {"0.0003", "0.001", "0.003", "training.learning_rate", "64", "128"} <= {*drawn}
    assert "mean ± standard deviation of up to 3 runs over training.seed" in drawn
    assert "×: a run that has not finished, its last measurement" in drawn


def test_the_axis_and_the_lines_can_be_chosen(sweep: Comparison, tmp_path: Path) -> None:
    plot_losses(sweep, tmp_path / "loss.svg", x="model.n_layer", by=["training.learning_rate", "training.seed"])
    drawn = words(tmp_path / "loss.svg")
    assert {"model.n_embd, model.n_layer", "0.0003, 1", "0.001, 9"} <= {*drawn}
    assert not any("mean" in each for each in drawn)


def test_words_are_drawn_in_their_order(tmp_path: Path) -> None:
    for schedule in ("linear", "cosine"):
        make_run(tmp_path / schedule, config(f"training.schedule={schedule}"), step=50, loss=1.5)
    plot_losses(Comparison.read_below(tmp_path), tmp_path / "loss.svg")
    drawn = words(tmp_path / "loss.svg")
    assert drawn.index("cosine") < drawn.index("linear")


def test_curves_are_laid_over_each_other(sweep: Comparison, tmp_path: Path) -> None:
    plot_curves(sweep, tmp_path / "all.svg")
    assert "validation loss; in gray: 11 more" in words(tmp_path / "all.svg")
    plot_curves(sweep, tmp_path / "grouped.svg", by=["training.learning_rate"])
    drawn = words(tmp_path / "grouped.svg")
    assert {"learning_rate", "0.0003", "0.001", "0.003"} <= {*drawn}
    svg = (tmp_path / "grouped.svg").read_text()
    assert len(re.findall(r'clip-path="url\(#\w+\)" style="fill: none; stroke: #(?!dddddd)\w+; stroke-width: 1.2', svg)) == 19


def test_losses_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    for length in (64, 128):
        run = make_run(tmp_path / str(length), config(f"training.seq_len={length}"), step=50, loss=1.5)
        write_losses(run, (10, 2.0), (50, 1.5))
    comparison = Comparison.read_below(tmp_path)
    rule = r"the runs differ in training\.seq_len; choose some with --filter"
    with pytest.raises(ConfigError, match=rule):
        plot_losses(comparison, tmp_path / "loss.png", x="training.seed")
    with pytest.raises(ConfigError, match=rule):
        plot_curves(comparison, tmp_path / "loss.png")
    plot_losses(comparison, tmp_path / "loss.png", x="training.seq_len")  # which is what the picture is of
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "alone", config(), step=50, loss=1.5)
    with pytest.raises(ConfigError, match="no key differs in the 1 runs"):
        plot_losses(Comparison.read_below(tmp_path), tmp_path / "loss.png")
    with pytest.raises(ConfigError, match="none of the 1 runs has two evaluations"):
        plot_curves(Comparison.read_below(tmp_path), tmp_path / "loss.png")
