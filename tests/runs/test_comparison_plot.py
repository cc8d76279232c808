"""The picture of runs side by side."""

from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.runs.comparison import Comparison
from gpt2hydra.runs.comparison_plot import plot_runs
from tests.run_directories import make_run
from tests.runs.test_comparison import config


def make_grid(folder: Path) -> Path:
    """Six finished points over a learning rate and a size, and one that was cut."""
    for layers, losses in ((2, (1.9, 1.7, 1.8)), (4, (1.8, 1.5, 1.7))):
        for rate, loss in zip((3e-4, 1e-3, 3e-3), losses, strict=True):
            settings = config(f"training.learning_rate={rate}", f"model.n_layer={layers}")
            make_run(folder / f"{layers}-{rate}", settings, step=50, loss=loss)
    cut = make_run(folder / "cut", config("training.learning_rate=1e-2", "model.n_layer=4"), step=20)
    (cut / "loss.csv").write_text("step,validation_loss\n20,2.0\n")
    return folder


def test_the_loss_is_drawn_over_one_or_two_keys(tmp_path: Path) -> None:
    comparison = Comparison.below(make_grid(tmp_path / "grid"))
    plot_runs(comparison, tmp_path / "two.png")
    one = Comparison([row for row in comparison.rows if row.values["model.n_layer"] == 2], ())
    plot_runs(one, tmp_path / "one.png")
    two = [(tmp_path / name).read_bytes() for name in ("two.png", "one.png")]
    assert all(picture.startswith(b"\x89PNG") for picture in two) and two[0] != two[1]


def test_words_are_drawn_in_their_order(tmp_path: Path) -> None:
    for schedule in ("cosine", "linear"):
        make_run(tmp_path / schedule, config(f"training.schedule={schedule}"), step=50, loss=1.5)
    plot_runs(Comparison.below(tmp_path), tmp_path / "loss.svg")
    drawn = (tmp_path / "loss.svg").read_text()
    assert drawn.index("<!-- cosine -->") < drawn.index("<!-- linear -->")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        pytest.param([()], "of the 1 runs with a loss, these differ: none", id="one run"),
        pytest.param(
            [(), ("model.n_layer=2",), ("training.seed=1",), ("training.learning_rate=1e-3",)],
            "of the 4 runs with a loss, these differ: model.n_layer, training.learning_rate, training.seed",
            id="three keys",
        ),
    ],
)
def test_none_or_more_than_two_keys_are_refused(tmp_path: Path, overrides: list[tuple[str, ...]], said: str) -> None:
    for number, each in enumerate(overrides):
        make_run(tmp_path / str(number), config(*each), step=50, loss=1.5)
    with pytest.raises(ConfigError, match=said):
        plot_runs(Comparison.below(tmp_path), tmp_path / "loss.png")
