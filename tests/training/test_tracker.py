"""Trackers, through their own libraries; nothing leaves this machine."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import dataclasses

from gpt2hydra import TrainConfig
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.runs.metrics_csv import Measurement
from gpt2hydra.training import tracker

ROW = Measurement(10, 480, 4.25, 4.125, 0.001, 0.75, 1000.5)
SET_BY = {"training.seed": [{"value": 7, "source": {"kind": "command line", "override": "training.seed=7"}}]}


def config(kind: str) -> TrainConfig:
    return TrainConfig(training=TrainingConfig(tracker=kind, seed=7))


def followed(kind: str, folder: Path, run_id: str | None = None, step: int = 0, is_resumed: bool = False) -> tracker.Tracker:
    """A run with two rows and a sample."""
    started = tracker.start_tracker(config(kind), folder, SET_BY, run_id, step, is_resumed)
    assert started is not None
    started.log_metrics(step + 10, tracker.row_values(ROW))
    started.log_text(step + 10, "sample", "To be, or\nnot")
    started.close()
    return started


def test_without_a_tracker_the_result_is_none(tmp_path: Path) -> None:
    assert tracker.start_tracker(config("none"), tmp_path, None, None, 0, False) is None


def test_missing_measurements_are_left_out() -> None:
    assert tracker.row_values(dataclasses.replace(ROW, training_loss=None, gradient_norm=None)) == {
        "tokens": 480,
        "validation_loss": 4.125,
        "learning_rate": 0.001,
        "tokens_per_second": 1000.5,
        "skipped_steps": 0,
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("step", [0, 20], ids=["a new run", "a fork"])
def test_tensorboard_receives_configuration_losses_and_samples(step: int, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    followed("tensorboard", tmp_path, step=step)
    library: Any = import_module("tensorboard.backend.event_processing.event_accumulator")
    events: Any = library.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(each.step, each.value) for each in events.Scalars("validation_loss")] == [(step + 10, 4.125)]
    texts = {tag: events.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in events.Tags()["tensors"]}
    assert '"seed": 7' in texts["config/text_summary"] and "training.seed=7" in texts["set_by/text_summary"]
    assert texts["sample/text_summary"] == "    To be, or\n    not"


@pytest.mark.filterwarnings("ignore")
def test_wandb_receives_losses_and_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    started = followed("wandb", tmp_path)
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    assert started.run_id is not None and folder.name.endswith(started.run_id)
    again = followed("wandb", tmp_path, started.run_id, 10, is_resumed=True)
    assert again.run_id == started.run_id


@pytest.mark.filterwarnings("ignore")
def test_mlflow_receives_losses_and_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    started = followed("mlflow", tmp_path / "run")
    again = followed("mlflow", tmp_path / "run", started.run_id, 10, is_resumed=True)
    assert again.run_id == started.run_id
    client = mlflow.MlflowClient()
    run = client.get_run(started.run_id)
    assert (run.data.params["training.seed"], run.info.status) == ("7", "FINISHED")
    assert [(each.step, each.value) for each in client.get_metric_history(started.run_id, "validation_loss")] == [
        (10, 4.125),
        (20, 4.125),
    ]
    artifacts = {path.name: path for path in tmp_path.rglob("artifacts/**/*") if path.is_file()}
    assert json.loads(artifacts["set_by.json"].read_text()) == SET_BY
    assert artifacts["00000010.txt"].read_text() == "To be, or\nnot"
