"""Experiment trackers: TensorBoard, Weights & Biases, MLflow, through libraries that extras install."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from gpt2hydra.config.keys import leaves
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.runs.metrics_csv import Measurement
from gpt2hydra.utils.formatting import error_reason

PROJECT = "gpt2hydra"


class Tracker(Protocol):
    """Gets the measurements and texts of a run while it trains."""

    run_id: str | None
    """The library's id of the run. ``run.json`` keeps it, so that a resumed run has the same id."""

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Log the measurements of a step."""

    def log_text(self, step: int, name: str, text: str) -> None:
        """Log a text."""

    def close(self) -> None:
        """End the run in the tracker."""


def row_values(row: Measurement) -> dict[str, float]:
    """The values of a row that a tracker gets."""
    return {name: value for name, value in asdict(row).items() if name != "step" and value is not None}


class SafeTracker:
    """A tracker whose failure does not end the run: after it, nothing more is logged."""

    def __init__(self, tracker: Tracker | None, note: Callable[[str], None]) -> None:
        self.tracker, self.note = tracker, note

    def log_metrics(self, row: Measurement) -> None:
        """Log a row of loss.csv."""
        self._send(lambda tracker: tracker.log_metrics(row.step, row_values(row)))

    def log_sample(self, step: int, text: str) -> None:
        """Log a text that the model generated."""
        self._send(lambda tracker: tracker.log_text(step, "sample", text))

    def close(self) -> None:
        """End the run in the tracker."""
        self._send(lambda tracker: tracker.close())

    def _send(self, what: Callable[[Tracker], None]) -> None:
        if self.tracker is None:
            return
        try:
            what(self.tracker)
        except Exception as error:  # any error of the tracker's library or server
            self.note(f"note: the tracker failed ({error_reason(error)}); the run continues without it")
            self.tracker = None


def start_tracker(
    config: TrainConfig, folder: Path, set_by: Mapping[str, Any] | None, run_id: str | None, step: int, is_resumed: bool
) -> Tracker | None:
    """Start the tracker ``training.tracker``; log configuration and sources of a new run. None for ``none``.

    Args:
        run_id: the library's id of a run that is resumed.
        step: the step from which the run continues; that of the parent for a new fork, else 0 for a new run.
    """
    name = config.training.tracker
    if name == "none":
        return None
    values = {key: value for key, value in leaves(config) if value is not None}
    kinds: dict[str, Any] = {"tensorboard": _TensorBoard, "wandb": _WandB, "mlflow": _MLflow}
    tracker: Tracker = kinds[name](folder, values, run_id, step)
    if not is_resumed:
        tracker.log_text(step, "config", json.dumps(config.to_dict(), indent=2))
        tracker.log_text(step, "set_by", json.dumps(set_by, indent=2, default=str))
    return tracker


class _TensorBoard:
    """Event files in ``tensorboard/`` of the run directory: ``tensorboard --logdir outputs``."""

    run_id = None

    def __init__(self, folder: Path, values: Mapping[str, Any], run_id: str | None, step: int) -> None:
        writers: Any = import_module("torch.utils.tensorboard")
        self.writer: Any = writers.SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def log_text(self, step: int, name: str, text: str) -> None:
        self.writer.add_text(name, "    " + text.replace("\n", "\n    "), step)  # a block of code in Markdown

    def close(self) -> None:
        self.writer.close()


class _WandB:
    """A run of ``WANDB_PROJECT``, or ``gpt2hydra``; ``WANDB_MODE=offline`` keeps it in the run directory."""

    def __init__(self, folder: Path, values: Mapping[str, Any], run_id: str | None, step: int) -> None:
        wandb: Any = import_module("wandb")
        project = os.environ.get("WANDB_PROJECT", PROJECT)
        resume = {"id": run_id, "resume": "allow"} if run_id else {}
        settings = wandb.Settings(silent=True, console="off")
        self.run: Any = wandb.init(project=project, dir=folder, config=dict(values), settings=settings, **resume)
        self.run_id = str(self.run.id)

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step)

    def log_text(self, step: int, name: str, text: str) -> None:
        if name in ("config", "set_by"):
            self.run.summary[name] = text
        else:
            self.run.log({name: text}, step=step)

    def close(self) -> None:
        self.run.finish()


class _MLflow:
    """A run of the experiment ``gpt2hydra``, or ``MLFLOW_EXPERIMENT_NAME``, at ``MLFLOW_TRACKING_URI``."""

    def __init__(self, folder: Path, values: Mapping[str, Any], run_id: str | None, step: int) -> None:
        mlflow: Any = import_module("mlflow")
        self.client: Any = mlflow.MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        known = self.client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self.client.create_experiment(name)
        title = f"{folder.absolute().parent.name}/{folder.absolute().name}"
        self.run_id: str = run_id or self.client.create_run(experiment, run_name=title).info.run_id
        if run_id is None:
            for key, value in values.items():
                self.client.log_param(self.run_id, key, value)
        else:
            self.client.update_run(self.run_id, status="RUNNING")

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.client.log_metric(self.run_id, name, value, step=step)

    def log_text(self, step: int, name: str, text: str) -> None:
        self.client.log_text(self.run_id, text, f"{name}.json" if name in ("config", "set_by") else f"{name}/{step:08d}.txt")

    def close(self) -> None:
        self.client.set_terminated(self.run_id)
