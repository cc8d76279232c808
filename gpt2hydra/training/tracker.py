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
from gpt2hydra.utils.formatting import reason_of

PROJECT = "gpt2hydra"


class Tracker(Protocol):
    """What a run reports to while it trains."""

    run_id: str | None
    """By which the library knows the run. It is kept in ``run.json``, for a run that is resumed."""

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Measurements of a step."""

    def text(self, step: int, name: str, text: str) -> None:
        """Something to read."""

    def close(self) -> None:
        """The run has ended."""


def measurements(row: Measurement) -> dict[str, float]:
    """What a tracker gets of a row."""
    return {name: value for name, value in asdict(row).items() if name != "step" and value is not None}


class SafeLogger:
    """A tracker that cannot end a run: after a failure it gets nothing more."""

    def __init__(self, tracker: Tracker | None, note: Callable[[str], None]) -> None:
        self.tracker, self.note = tracker, note

    def numbers(self, row: Measurement) -> None:
        """A row of the loss table."""
        self._send(lambda tracker: tracker.numbers(row.step, measurements(row)))

    def sample(self, step: int, text: str) -> None:
        """A text that the model wrote."""
        self._send(lambda tracker: tracker.text(step, "sample", text))

    def close(self) -> None:
        """The run has ended."""
        self._send(lambda tracker: tracker.close())

    def _send(self, what: Callable[[Tracker], None]) -> None:
        if self.tracker is None:
            return
        try:
            what(self.tracker)
        except Exception as error:  # a library of somebody else, and often a server behind it
            self.note(f"note: the tracker failed ({reason_of(error)}); the run continues without it")
            self.tracker = None


def start(config: TrainConfig, folder: Path, set_by: Mapping[str, Any] | None, run_id: str | None, step: int) -> Tracker | None:
    """The tracker that ``training.tracker`` names, with the configuration and who set it; None for none.

    Args:
        run_id: of the run that continues, as the library called it.
        step: after which it continues.
    """
    name = config.training.tracker
    if name == "none":
        return None
    values = {key: value for key, value in leaves(config) if value is not None}
    kinds: dict[str, Any] = {"tensorboard": _TensorBoard, "wandb": _WandB, "mlflow": _MLflow}
    tracker: Tracker = kinds[name](folder, values, run_id, step)
    if step == 0:
        tracker.text(0, "config", json.dumps(config.to_dict(), indent=2))
        tracker.text(0, "set_by", json.dumps(set_by, indent=2, default=str))
    return tracker


class _TensorBoard:
    """Event files in ``tensorboard/`` of the run directory: ``tensorboard --logdir outputs``."""

    run_id = None

    def __init__(self, folder: Path, values: Mapping[str, Any], run_id: str | None, step: int) -> None:
        writers: Any = import_module("torch.utils.tensorboard")
        self.writer: Any = writers.SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def text(self, step: int, name: str, text: str) -> None:
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

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step)

    def text(self, step: int, name: str, text: str) -> None:
        if name in ("config", "set_by"):
            self.run.summary[name] = text
        else:
            self.run.log({name: text}, step=step)

    def close(self) -> None:
        self.run.finish()


class _MLflow:
    """A run of the experiment ``gpt2hydra``, where ``MLFLOW_TRACKING_URI`` says."""

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

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.client.log_metric(self.run_id, name, value, step=step)

    def text(self, step: int, name: str, text: str) -> None:
        self.client.log_text(self.run_id, text, f"{name}.json" if name in ("config", "set_by") else f"{name}/{step:08d}.txt")

    def close(self) -> None:
        self.client.set_terminated(self.run_id)
