"""Runs compared: what differs, how far, how well, and which losses can be compared."""

from pathlib import Path

import pytest

from gpt2hydra import ConfigError
from gpt2hydra.runs.comparison import Comparison, MeanLoss
from tests.run_directories import fail_run, make_run
from tests.runs.runs_to_compare import config, make_sweep, write_losses


def test_runs_are_listed_the_best_first(tmp_path: Path) -> None:
    make_run(tmp_path / "0", config("model.n_layer=2"), step=50, loss=1.75)
    make_run(tmp_path / "1", config("model.n_layer=4"), step=50, loss=1.5)
    fail_run(tmp_path / "3", config("model.n_layer=8"), step=3)
    write_losses(make_run(tmp_path / "2", config("model.n_layer=6"), step=20), (0, 5.0), (10, 2.0), (20, None))
    found = [(run.name, run.loss, run.state) for run in Comparison.read_below(tmp_path).runs]
    assert found == [
        ("1", 1.5, "finished"),
        ("0", 1.75, "finished"),
        ("2", 2.0, "interrupted at 20"),
        ("3", None, "failed at 3"),
    ]


def test_a_damaged_record_is_left_out_and_reported(tmp_path: Path) -> None:
    make_run(tmp_path / "good", config(), step=50, loss=1.5)
    for name, content in (("torn", "{"), ("other", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(content)
    found = Comparison.read_below(tmp_path)
    assert [run.name for run in found.runs] == ["good"]
    assert sorted(Path(each.key).parent.name for each in found.unreadable) == ["other", "torn"]


def test_several_folders_are_one_comparison(tmp_path: Path) -> None:
    make_sweep(tmp_path, seeds=1)
    assert len(Comparison.read_below(tmp_path / "0", tmp_path / "1").runs) == 2


def test_keys_that_say_nothing_about_a_run_are_not_compared(tmp_path: Path) -> None:
    make_run(tmp_path / "a", config("preflight=off"), step=50, loss=1.5)
    make_run(tmp_path / "b", config("model.n_embd=384"), step=50, loss=1.6)
    assert Comparison.read_below(tmp_path).differing_keys() == ["model.n_embd"]


def test_keys_that_change_together_are_one_axis(tmp_path: Path) -> None:
    assert Comparison.read_below(make_sweep(tmp_path, seeds=2)).key_groups() == [
        ["model.n_embd", "model.n_layer"],
        ["training.learning_rate"],
        ["training.seed"],
    ]


def test_any_column_is_an_order(tmp_path: Path) -> None:
    comparison = Comparison.read_below(make_sweep(tmp_path, seeds=1))
    rates = [run.values["training.learning_rate"] for run in comparison.sorted_by("training.learning_rate").runs]
    assert rates == sorted(rates)
    rates = [
        run.values["training.learning_rate"] for run in comparison.sorted_by("training.learning_rate", descending=True).runs
    ]
    assert rates == sorted(rates, reverse=True)
    without = [run.name for run in comparison.sorted_by("mfu").runs]  # no run has it
    assert without == sorted(without)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("training.learning_rate", "training.learning_rate", id="a key"),
        pytest.param("learning_rate", "training.learning_rate", id="its last part"),
        pytest.param("seconds", "seconds", id="a measurement"),
        pytest.param("learning_rat", "did you mean training.learning_rate or training.min_learning_rate_ratio?", id="misspelt"),
        pytest.param("training.learning_rat", "did you mean training.learning_rate?", id="a misspelt key"),
        pytest.param("path", "could be data.path or tokenizer.path", id="two keys end so"),
        pytest.param("zebra", "known: run, state, step, ", id="nothing near"),
    ],
)
def test_a_column_is_found_by_its_name(tmp_path: Path, name: str, expected: str) -> None:
    comparison = Comparison.read_below(make_sweep(tmp_path, seeds=1))
    try:
        assert comparison.resolve_column(name, "--sort") == expected
    except ConfigError as error:
        (violation,) = error.violations
        assert (violation.key, violation.value) == ("--sort", name) and expected in violation.rule


def test_the_mean_and_the_standard_deviation_of_losses() -> None:
    assert MeanLoss.of([1.0, 2.0, 3.0]) == MeanLoss(2.0, 1.0, 3)
    assert MeanLoss.of([1.5]) == MeanLoss(1.5, None, 1)
    assert MeanLoss.of([]) == MeanLoss(None, None, 0)
