"""Runs side by side: what differs, how far, how well."""

from pathlib import Path
from typing import Any

import pytest

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.runs.comparison import Comparison, compare
from gpt2hydra.runs.record import recording
from tests.run_directories import fail_run, make_run


def config(*overrides: str) -> TrainConfig:
    built: TrainConfig = gpt2hydra.compose("train", ["training.max_steps=50", "training.warmup_steps=5", *overrides])
    return built


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Four points: two are finished, one was cut, and one failed."""
    make_run(tmp_path / "0", config("model.n_layer=2"), step=50, loss=1.75)
    make_run(tmp_path / "1", config("model.n_layer=4"), step=50, loss=1.5)
    make_run(tmp_path / "2", config("model.n_layer=6"), step=20)
    (tmp_path / "2/loss.csv").write_text("step,validation_loss\n0,5.0\n10,2.0\n20,\n")
    fail_run(tmp_path / "3", config("model.n_layer=8"), step=3)
    return tmp_path


def test_a_table_tells_what_differs_how_far_and_how_well_the_best_first(sweep: Path) -> None:
    assert Comparison.below(sweep).table() == (
        "run  n_layer  state              validation loss\n"
        "  1        4  finished                    1.5000\n"
        "  0        2  finished                    1.7500\n"
        "  2        6  interrupted at 20           2.0000\n"
        "  3        8  failed at 3\n"
        "\n"
        "3: ZeroDivisionError: loss is NaN"
    )


def test_a_run_that_goes_on_tells_its_last_measurement(tmp_path: Path) -> None:
    with recording(config(), tmp_path / "now", None):
        (tmp_path / "now/loss.csv").write_text("step,validation_loss\n0,5.0\n10,2.5\n20,")
        assert Comparison.below(tmp_path).table().splitlines()[1].split() == ["now", "running", "at", "20", "2.5000"]


def test_what_is_not_part_of_a_run_is_not_told(tmp_path: Path) -> None:
    make_run(tmp_path / "a", config("preflight=off"), step=50, loss=1.5)
    make_run(tmp_path / "b", config("model.n_embd=384"), step=50, loss=1.6)
    assert Comparison.below(tmp_path).differing() == ["model.n_embd"]


def test_keys_with_one_name_are_told_apart(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("To be")
    make_run(tmp_path / "a", config(f"data.path={text}"))
    make_run(tmp_path / "b", config("tokenizer=gpt2", f"tokenizer.path={tmp_path}"))
    head = Comparison.below(tmp_path).table().splitlines()[0].split()
    assert head[:5] == ["run", "data.path", "name", "tokenizer.path", "state"]


def test_a_table_fits_the_terminal(tmp_path: Path) -> None:
    make_run(tmp_path / "a", config())
    make_run(
        tmp_path / "b", config("model=large", "training.learning_rate=1e-3", "training.seed=1", "training.schedule=linear")
    )
    comparison = Comparison.below(tmp_path)
    narrow = comparison.table(width=60).split("\n\n")
    assert max(map(len, narrow[0].splitlines())) <= 60
    assert narrow[1] == "4 more keys differ: model.n_head, training.learning_rate, training.schedule, training.seed"
    assert "more keys differ" not in comparison.table()


def test_keys_that_change_together_are_one_axis(tmp_path: Path) -> None:
    for number, (model, rate) in enumerate([("small", 1e-3), ("large", 1e-3), ("small", 1e-4), ("large", 1e-4)]):
        make_run(tmp_path / str(number), config(f"model={model}", f"training.learning_rate={rate}"))
    assert Comparison.below(tmp_path).axes() == [
        ["model.n_embd", "model.n_layer", "model.n_head"],
        ["training.learning_rate"],
    ]


def test_what_cannot_be_read_is_told_beside_the_rest(sweep: Path) -> None:
    (sweep / "3/run.json").write_text("{}")
    found = Comparison.below(sweep)
    assert [row.name for row in found.rows] == ["1", "0", "2"]
    said = {Path(each.key).parent.name: each.rule for each in found.unreadable}
    assert said == {"3": "is no record of a training run of this version"}


def test_several_folders_are_one_comparison(sweep: Path) -> None:
    assert [row.loss for row in compare([sweep / "0", sweep / "1"]).rows] == [1.5, 1.75]


def test_a_program_gets_all_of_it(sweep: Path) -> None:
    best: dict[str, Any] = Comparison.below(sweep).rows[0].to_dict()
    assert TrainConfig.from_dict(best.pop("config")) == config("model.n_layer=4")
    assert best == {
        "folder": str(sweep / "1"),
        "state": "finished",
        "step": 50,
        "max_steps": 50,
        "validation_loss": 1.5,
        "fingerprint": config("model.n_layer=4").fingerprint(),
        "reason": None,
    }
