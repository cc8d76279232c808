"""What a person sees of a run while it runs."""

import logging
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("tqdm")

from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.runs.metrics_csv import LossTable, Measurement
from gpt2hydra.training import progress as progress_module
from gpt2hydra.training.progress import Progress, print_line
from gpt2hydra.utils.verbosity import quiet

CONFIG = TrainingConfig(seq_len=8, batch_size=2, gradient_accumulation_steps=3, max_steps=1000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    monkeypatch.setattr(Progress, "_print_each_minute", lambda _: None)
    return now


def test_a_terminal_shows_loss_learning_rate_speed_and_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress(CONFIG, LossTable(tmp_path))
    progress.log_row(0, None, 5.5, None)
    progress.bar.update(10)
    progress.log_row(10, 4.25, None, 0.001)
    progress.bar.refresh()
    progress.close()
    shown = capsys.readouterr().err.split("\r")
    assert any(" 10/1000 [" in each and "loss 4.250, lr 1.0e-03, " in each and " tokens/s" in each for each in shown)
    assert any("step     0 of 1,000   validation loss 5.5000   (before training)\n" in each for each in shown)


def test_elsewhere_there_is_a_line_for_each_evaluation_and_no_bar(
    tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    progress = Progress(CONFIG, LossTable(tmp_path))
    progress.log_row(0, None, 5.5, None)
    progress.bar.update(10)
    for step in (10, 20):
        clock[0] += 2
        progress.log_row(step, 4.25, 4.125 if step == 20 else None, 0.002, 0.75)
    progress.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "step     0 of 1,000   validation loss 5.5000   (before training)",
        "step    20 of 1,000   validation loss 4.1250   training 4.2500   lr 2.00e-03   240 tokens/s   3 min 16 s left",
    ]
    assert [record.getMessage() for record in caplog.records] == lines  # the log has them too


def test_the_time_left_of_a_resumed_run_counts_from_its_first_step(tmp_path: Path, clock: list[float]) -> None:
    progress = Progress(CONFIG, LossTable(tmp_path), first_step=500)
    clock[0] += 5
    row = progress.log_row(510, 4.25, 4.0, 0.002, 0.75)
    assert (row.tokens, row.tokens_per_second) == (510 * 48, 96.0)
    assert progress.bar.n == 500


def test_speed_leaves_out_the_time_when_the_clock_was_stopped(tmp_path: Path, clock: list[float]) -> None:
    progress = Progress(CONFIG, LossTable(tmp_path))
    with progress.paused():
        clock[0] += 50
    clock[0] += 2
    assert progress.log_row(10, 4.25, None, 0.001, 0.75) == Measurement(10, 480, 4.25, None, 0.001, 0.75, 240.0)


def test_the_speed_of_a_run_is_the_median_without_the_first_row(tmp_path: Path, clock: list[float]) -> None:
    progress = Progress(CONFIG, LossTable(tmp_path))
    assert progress.tokens_per_second is None
    for step, seconds in ((10, 48), (20, 2), (30, 1), (40, 4)):
        clock[0] += seconds
        progress.log_row(step, 4.25, None, 0.001)
    assert progress.tokens_per_second == 240
    assert progress.seconds == 55


def test_a_process_without_a_table_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(CONFIG, None)
    progress.log_row(10, 4.25, 4.0, 0.002)
    progress.print("something")
    progress.draw()
    progress.close()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("seconds", "lines"), [(4, ["evaluating: about 3 min 12 s more"]), (0.1, [])], ids=["long", "short"])
def test_a_long_run_is_announced(
    seconds: float, lines: list[str], tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = Progress(CONFIG, LossTable(tmp_path)).start_evaluation("evaluating", 50)
    for _ in range(50):
        clock[0] += seconds
        waiting.update()
    assert capsys.readouterr().err.splitlines() == lines


def test_after_a_minute_without_a_line_there_is_one(
    tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress(CONFIG, LossTable(tmp_path))

    def line_after(seconds: float) -> str:
        clock[0] += seconds
        progress.print_if_silent()
        return capsys.readouterr().err.strip()

    assert [line_after(59), line_after(1)] == ["", "step     0 of 1,000   1 min 00 s since the start"]
    progress.finish_micro_batch(1, 3)
    assert line_after(60) == "step     0 of 1,000, micro-batch 1 of 3 of the next   4 days 03 h left"
    progress.finish_step(32)
    assert [line_after(40), line_after(20)] == ["", "step    32 of 1,000   1 h 30 min left"]
    waiting = progress.start_evaluation("evaluating", 10)
    assert line_after(60) == "evaluating: the first batch"
    for _ in range(5):
        waiting.update()
    capsys.readouterr()
    assert line_after(60) == "evaluating: about 2 min 00 s more"


def test_a_thread_looks_for_silence_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_module, "SILENCE_SECONDS", 0)
    monkeypatch.setattr(progress_module, "POLL_SECONDS", 0.001)
    progress, err = Progress(CONFIG, LossTable(tmp_path)), ""
    while "since the start" not in err:  # in the middle of a pass, while nothing calls it
        err += capsys.readouterr().err
    progress.close()
    assert "progress" not in [thread.name for thread in threading.enumerate()]


def test_a_row_that_cannot_be_written_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress(CONFIG, LossTable(tmp_path))
    monkeypatch.setattr(LossTable, "append", lambda *_: "No space left on device")
    progress.log_row(10, 4.25, None, 0.002)
    message = "note: loss.csv could not be written (No space left on device); it is written with the next row\n"
    assert capsys.readouterr().err == message


def test_quiet_progress_is_only_in_the_log(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with quiet():
        print_line("step 1")
        print_line("Stopped after step 1", always=True)
    assert capsys.readouterr().err == "Stopped after step 1\n"
    assert caplog.messages == ["step 1", "Stopped after step 1"]
