"""What a person sees of a run."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("tqdm")

from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.training.progress import Progress, Row, draw, duration

CONFIG = TrainingConfig(seq_len=8, batch_size=2, gradient_accumulation_steps=3, max_steps=1000)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (75, "1 min 15 s"), (3599.6, "1 h 00 min"), (90_000, "25 h 00 min")],
)
def test_durations_are_said_in_two_units_at_most(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_each_row_is_on_the_disk_at_once(tmp_path: Path) -> None:
    progress = Progress(CONFIG, tmp_path)
    progress.add(0, None, 5.5, None)
    progress.add(10, 4.25, None, 0.001)
    header, first, second = (tmp_path / "loss.csv").read_text().splitlines()
    progress.close()
    assert header == "step,tokens,training_loss,validation_loss,learning_rate,tokens_per_second"
    assert (first, second.rsplit(",", 1)[0]) == ("0,0,,5.5,,", "10,480,4.25,,0.001")
    assert progress.validation() == [(0, 5.5)]


def test_a_terminal_shows_loss_learning_rate_speed_and_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress(CONFIG, tmp_path)
    progress.add(0, None, 5.5, None)
    progress.bar.update(10)
    progress.add(10, 4.25, None, 0.001)
    progress.bar.refresh()
    progress.close()
    shown = capsys.readouterr().err.split("\r")
    assert any(" 10/1000 [" in each and "loss 4.250, lr 1.0e-03, " in each and " tokens/s" in each for each in shown)
    assert any("step     0 of 1,000   validation loss 5.5000   (untrained)\n" in each for each in shown)


def test_elsewhere_there_is_a_line_for_each_evaluation_and_no_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(CONFIG, tmp_path)
    progress.add(0, None, 5.5, None)
    progress.bar.update(10)
    progress.add(10, 4.25, None, 0.001)
    progress.add(20, 4.0, 4.125, 0.002)
    progress.close()
    first, second = capsys.readouterr().err.splitlines()
    assert first == "step     0 of 1,000   validation loss 5.5000   (untrained)"
    assert second.startswith("step    20 of 1,000   validation loss 4.1250   training 4.0000   lr 2.00e-03   ")
    assert second.endswith(" left")


def test_speed_leaves_out_what_the_clock_did_not_run_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    progress = Progress(CONFIG, tmp_path)
    now[0] += 50
    progress.restart_clock()
    now[0] += 2
    progress.add(10, 4.25, None, 0.001)
    progress.close()
    assert progress.rows == [Row(10, 480, 4.25, None, 0.001, 240.0)]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([Row(0, 0, None, 5.5, None, None)], id="untrained only"),
        pytest.param([Row(0, 0, None, 5.5, None, None), Row(1, 8, 5.0, 4.5, 0.1, 9.0)], id="one step"),
    ],
)
def test_a_picture_is_drawn_of_any_run(rows: list[Row], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(rows, "GPT-2", tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
