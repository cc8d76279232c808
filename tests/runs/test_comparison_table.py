"""The table of a comparison."""

from pathlib import Path

from gpt2hydra.runs.comparison import Comparison
from gpt2hydra.runs.comparison_table import csv_rows, format_runs, table_rows
from tests.run_directories import fail_run, make_run
from tests.runs.runs_to_compare import config, make_sweep, write_losses


def test_a_line_for_each_run(tmp_path: Path) -> None:
    make_run(tmp_path / "0", config("model.n_layer=2"), step=50, loss=1.75)
    make_run(tmp_path / "1", config("model.n_layer=4"), step=50, loss=1.5)
    write_losses(make_run(tmp_path / "2", config("model.n_layer=6"), step=20), (10, 2.0), (20, None))
    fail_run(tmp_path / "3", config("model.n_layer=8"), step=3)
    assert format_runs(Comparison.read_below(tmp_path), width=200) == (
        "run  n_layer  state              validation loss\n"
        "  1        4  finished                    1.5000\n"
        "  0        2  finished                    1.7500\n"
        "  2        6  interrupted at 20           2.0000\n"
        "  3        8  failed at 3\n"
        "\n"
        "3: ZeroDivisionError: loss is NaN"
    )


def test_the_columns_that_were_asked_for(tmp_path: Path) -> None:
    make_run(tmp_path / "0", config("model.n_layer=2"), step=50, loss=1.75)
    columns = ["run", "training.learning_rate", "validation_loss", "data.path"]
    assert format_runs(Comparison.read_below(tmp_path), columns, width=200).splitlines() == [
        "run  learning_rate  validation_loss  path",
        "  0         0.0006           1.7500  null",
    ]


def test_keys_that_do_not_fit_the_terminal_are_named_below(tmp_path: Path) -> None:
    make_run(tmp_path / "a", config())
    overrides = ("model=large", "training.learning_rate=1e-3", "training.seed=1", "training.schedule=linear")
    make_run(tmp_path / "b", config(*overrides))
    narrow, below = format_runs(Comparison.read_below(tmp_path), width=50).split("\n\n")
    assert max(map(len, narrow.splitlines())) <= 50 and "n_embd" in narrow
    assert below.startswith("5 more keys differ: model.n_layer, model.n_head, ")
    assert "more keys differ" not in format_runs(Comparison.read_below(tmp_path), width=200)


def test_keys_with_one_name_are_distinguished(tmp_path: Path) -> None:
    make_run(tmp_path / "a", config("data.cache_dir=x"))
    make_run(tmp_path / "b", config("tokenizer=gpt2", f"tokenizer.path={tmp_path}", "data.path=null", "hardware=l4"))
    table = format_runs(Comparison.read_below(tmp_path), ["tokenizer.name", "hardware.name"], width=200)
    assert "tokenizer.name  hardware.name" in table


def test_seeds_are_grouped(tmp_path: Path) -> None:
    comparison = Comparison.read_below(make_sweep(tmp_path))
    table = format_runs(comparison, by=["model.n_layer", "training.learning_rate"], width=200).splitlines()
    assert table[0].split() == ["n_layer", "learning_rate", "n_embd", "mean", "validation", "loss", "±", "n"]
    assert table[1].split() == ["4", "0.001", "128", "1.8000", "0.0200", "3"]
    assert len(table) == 7


def test_a_mean_is_of_finished_runs_and_says_how_many_are_not(tmp_path: Path) -> None:
    make_sweep(tmp_path)
    write_losses(make_run(tmp_path / "18", config("model.n_layer=2", "model.n_embd=64", "model.n_head=4"), step=20), (20, 9.0))
    table = format_runs(Comparison.read_below(tmp_path), by=["model.n_layer"], width=200).splitlines()
    assert table[0].split()[-2:] == ["n", "unfinished"]
    assert [line.split()[-2:] for line in table[1:]] == [["9", "0"], ["9", "1"]]


def test_losses_that_cannot_be_compared_are_separate(tmp_path: Path) -> None:
    make_run(tmp_path / "short", config("training.seq_len=64"), step=50, loss=1.5)
    for seed in (1, 2):
        make_run(tmp_path / str(seed), config(f"training.seed={seed}"), step=50, loss=1.5 + seed)
    assert format_runs(Comparison.read_below(tmp_path), width=200) == (
        "Losses cannot be compared between these tables: their runs differ in training.seq_len.\n"
        "\n"
        "== training.seq_len = 64\n"
        "run    state     validation loss\n"
        "short  finished           1.5000\n"
        "\n"
        "== training.seq_len = 1024\n"
        "run  seed  state     validation loss\n"
        "  1     1  finished           2.5000\n"
        "  2     2  finished           3.5000"
    )
    assert [each["comparable_group"] for each in table_rows(Comparison.read_below(tmp_path))] == [1, 2, 2]


def test_a_spreadsheet_has_a_head_and_all_columns(tmp_path: Path) -> None:
    head, *rows = csv_rows([*table_rows(Comparison.read_below(make_sweep(tmp_path, seeds=1)), by=["model.n_layer"])])
    assert head == ["model.n_layer", "model.n_embd", "n", "unfinished", "mean_validation_loss", "spread_validation_loss"]
    assert [row[:4] for row in rows] == [[4, 128, 3, 0], [2, 64, 3, 0]]
