"""Run directories without a training: a record, and checkpoints that are complete and hold no weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpt2hydra import TrainConfig
from gpt2hydra.checkpoint import atomic_directory, run_checkpoints
from gpt2hydra.runs.record import record_run


def save(run: Path, step: int, validation_loss: float | None = None) -> None:
    """A complete checkpoint of a step."""
    with atomic_directory.write_directory(run_checkpoints.checkpoint_dir(run, step)) as folder:
        atomic_directory.write_json(folder / run_checkpoints.RUN_JSON, {"step": step, "validation_loss": validation_loss})


def make_run(folder: Path, config: TrainConfig, step: int = 0, loss: float | None = None, set_by: Any = None) -> Path:
    """A run that was interrupted after ``step``, or is finished where that was its last; ``folder`` itself."""
    with record_run(replace(config, resume=None), folder, set_by) as recorder:
        recorder.step = step
        if step:
            save(folder, step, loss)
        if step == config.training.max_steps:
            assert loss is not None
            recorder.finish(loss, seconds=1.0)
    return folder


def fail_run(folder: Path, config: TrainConfig, step: int = 0) -> Path:
    """A run that an error ended after ``step``."""
    with pytest.raises(ZeroDivisionError), record_run(config, folder, None) as recorder:
        recorder.step = step
        raise ZeroDivisionError("loss is NaN")
    return folder
