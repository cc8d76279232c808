"""One run of a comparison: its last measurement, and what its loss is of."""

from pathlib import Path
from typing import Any

from gpt2hydra import TrainConfig
from gpt2hydra.runs.comparison import Comparison
from gpt2hydra.runs.record import record_run
from tests.run_directories import make_run
from tests.runs.runs_to_compare import config, write_losses


def test_a_run_that_is_being_written_has_its_last_measurement(tmp_path: Path) -> None:
    with record_run(config(), tmp_path / "now", None):
        write_losses(tmp_path / "now", (0, 5.0), (10, 2.5))
        with (tmp_path / "now/loss.csv").open("a") as file:
            file.write("20,")  # a row that is half written
        (run,) = Comparison.read_below(tmp_path).runs
        assert (run.state, run.loss) == ("running at 10", 2.5)


def test_a_program_gets_all_of_a_run(tmp_path: Path) -> None:
    make_run(tmp_path / "1", config("model.n_layer=4"), step=50, loss=1.5)
    best: dict[str, Any] = Comparison.read_below(tmp_path).runs[0].to_dict()
    assert TrainConfig.from_dict(best.pop("config")) == config("model.n_layer=4")
    assert best == {
        "folder": str(tmp_path / "1"),
        "state": "finished",
        "step": 50,
        "max_steps": 50,
        "validation_loss": 1.5,
        "fingerprint": config("model.n_layer=4").fingerprint(),
        "reason": None,
    }


def test_losses_of_other_texts_tokenizers_and_lengths_cannot_be_compared(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text.txt").write_text(f"To be, or not to be: the {name} text.")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/text.txt").write_text((tmp_path / "first/text.txt").read_text())
    runs = tmp_path / "runs"
    for name in ("first", "copy", "second"):
        make_run(runs / name, config(f"data.path={tmp_path}/{name}/text.txt"), step=50, loss=1.5)
    make_run(runs / "short", config(f"data.path={tmp_path}/first/text.txt", "training.seq_len=64"), step=50, loss=1.4)
    comparison = Comparison.read_below(runs)
    assert [[run.name for run in group.runs] for group in comparison.comparable_groups()] == [
        ["short"],
        ["copy", "first"],
        ["second"],
    ]
    assert comparison.differing_loss_conditions() == ["validation text", "training.seq_len"]


def test_a_validation_text_of_its_own_is_what_is_compared(tmp_path: Path) -> None:
    for name in ("a", "b", "held_out"):
        (tmp_path / f"{name}.txt").write_text(f"The text of {name}.")
    for name in ("a", "b"):
        texts = (f"data.path={tmp_path}/{name}.txt", f"data.validation_path={tmp_path}/held_out.txt")
        make_run(tmp_path / "runs" / name, config(*texts), step=50, loss=1.5)
    assert Comparison.read_below(tmp_path / "runs").differing_loss_conditions() == []
