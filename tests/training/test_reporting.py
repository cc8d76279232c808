"""What a run reports: its start, its end, and why it stopped."""

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from gpt2hydra.checkpoint import model_files
from gpt2hydra.data import corpus_tokens
from gpt2hydra.data.batches import SequenceSampler
from gpt2hydra.runs import loss_plot
from gpt2hydra.training.result import Stopped
from gpt2hydra.training.run import train
from gpt2hydra.training.summary import resuming_command, sampling_command
from tests.training.tiny import table, tiny

torch.set_num_threads(1)  # what is computed here is too small to share


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture takes as long as the run."""
    monkeypatch.setattr(loss_plot, "draw", lambda _, __, file: file.touch())


def test_a_token_file_that_shrinks_stops_the_run_with_a_message(tmp_path: Path) -> None:
    file = tmp_path / "train.bin"
    file.write_bytes(bytes(2 * 5000))
    config = tiny(f"data.path='{file}'", "training.max_steps=20")
    starts = SequenceSampler.starts

    def shrinks(order: SequenceSampler, step: int) -> Any:
        if step == 7:
            os.truncate(file, 2000)
        return starts(order, step)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped) as stopped:
        patch.setattr(SequenceSampler, "starts", shrinks)
        train(config, tmp_path / "run")
    assert re.search(
        rf"^Training was stopped\.\n\n{file}\n  changed its size after the run began, at step \d+ of 20; ",
        str(stopped.value),
    )


def test_the_report_and_a_quiet_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = train(tiny(), tmp_path / "run")
    out, err = capfd.readouterr()
    assert out.startswith("\nA sample, 30 tokens:\n")
    assert re.search(r"\n\nTrained 20 steps on 2,560 tokens in \d+ s\.\n\n", out)
    after = float(table(tmp_path / "run")[-1]["validation_loss"])
    assert f"  validation loss  {result.initial_loss:.3f} before → {after:.3f} after, on the same 16 sequences (nats" in out
    assert f"\n                   {result.validation_loss:.3f} on 160 sequences of the validation text\n" in out
    memory = r"[\d.]+ [kMG]?B of memory \(predicted: [\d.]+ [kMG]?B\)"
    assert re.search(rf"  speed            [\d,]+ tokens/s(, [\d.]+% of .*\(MFU\))?; {memory}\n", out)
    assert out.endswith(
        f"  checkpoints      {tmp_path}/run/checkpoints\n"
        f"  losses           {tmp_path}/run/loss.png, {tmp_path}/run/loss.csv\n"
        f"  sample from it   {sampling_command(tmp_path / 'run')}\n"
        f"  train it longer  {resuming_command(tmp_path / 'run', 'training.max_steps=40')}\n"
    )
    training, validation = map(len, corpus_tokens.load_tokens(tiny()))
    assert [line.split("   ")[0] for line in err.splitlines()] == [
        "GPT-2, 7,680 parameters, fp32 on cpu",
        f"the Python language reference: {training:,} tokens for training, {validation:,} for validation",
        "first an evaluation on 16 sequences of 16 tokens, then 20 steps of 128 tokens",
        "",
        "step  0 of 20",
        "step 10 of 20",
        "step 20 of 20",
    ]
    assert "\r" not in err


def test_a_full_disk_ends_a_run_with_a_message_and_keeps_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saves = model_files._save_tensors, []

    def fills(*arguments: Any) -> None:
        saves.append(arguments)
        if len(saves) == 4:  # the optimizer of the second checkpoint
            raise OSError(errno.ENOSPC, "No space left on device")
        save(*arguments)

    monkeypatch.setattr(model_files, "_save_tensors", fills)
    with pytest.raises(Stopped) as stopped:
        train(tiny(), tmp_path)
    where = f"the checkpoint of step 10 is in {tmp_path}/checkpoints/step-000010"
    assert str(stopped.value) == (
        f"Training was stopped.\n\nthe run directory = {tmp_path}\n"
        f"  could not be written (No space left on device), at step 20 of 20; {where}\n"
        f"  try: resume={tmp_path}"
    )
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000010"]


def test_a_run_that_only_made_things_worse_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(tiny("training.learning_rate=10", "training.max_grad_norm=0"), tmp_path)
    assert "note: training did not lower the validation loss; try: training.learning_rate=3.0\n" in capfd.readouterr().err
