"""A training run from start to end: check, build, train, measure, report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from transformers import GPT2LMHeadModel

from gpt2hydra.checkpoint import fork_from, init_from, run_checkpoints
from gpt2hydra.checkpoint.folder import locate
from gpt2hydra.checkpoint.run_checkpoints import CheckpointInfo
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.data import corpus_checks, corpus_tokens, tokenizer
from gpt2hydra.inference.device import for_training
from gpt2hydra.runs import record
from gpt2hydra.runs.directory import check_directory, check_space, new_directory
from gpt2hydra.runs.loss_plot import LossPlot
from gpt2hydra.runs.metrics_csv import FILE, LossTable, read_rows
from gpt2hydra.sizing.malloc import set_malloc_options
from gpt2hydra.training import reporting, summary, tracker
from gpt2hydra.training.fabric import assert_same_config, close_process_group, setup_fabric
from gpt2hydra.training.model import build_model
from gpt2hydra.training.processes import check_world_size, this_process
from gpt2hydra.training.progress import Progress, print_line
from gpt2hydra.training.resource_meter import ResourceMeter
from gpt2hydra.training.result import Diverged, Result, Stopped
from gpt2hydra.training.signals import TIME_LIMIT, Interrupted, Signals, StopRequested
from gpt2hydra.training.stop_requests import StopRequests
from gpt2hydra.training.trainer import Data, Trainer
from gpt2hydra.utils.formatting import reason_of, short_count
from gpt2hydra.utils.paths import relative_path

__all__ = ["Diverged", "Interrupted", "Result", "Stopped", "train"]


def train(
    config: TrainConfig,
    output_dir: Path | None = None,
    set_by: Mapping[str, Any] | None = None,
    *,
    resume_from: Path | None = None,
) -> Result:
    """Train a model; write ``checkpoints/``, ``run.json``, ``loss.csv`` and ``loss.png`` in ``output_dir``.

    Args:
        output_dir: by default a new folder below ``outputs/``.
        set_by: who set each value, for the record.
        resume_from: the directory of a run, which continues there, from its newest complete checkpoint.

    Raises:
        ConfigError: text, tokenizer or device cannot be used, ``output_dir`` holds a run, or ``resume_from``
            only damaged checkpoints; :class:`Diverged` if the loss became NaN, :class:`Stopped` if nothing
            more could be written.
        Interrupted: Ctrl-C or another signal stopped the run, which was saved.
    """
    began, process = time.monotonic(), this_process()
    violations = [
        *check_world_size(process, config),
        *(init_from.check_init_from(config) or fork_from.check_fork_from(config)),
        *corpus_checks.check_corpus(config),
    ]
    if violations:
        raise ConfigError(violations)
    with Signals(quiet=not process.first) as signals:
        device = for_training(config.training)
        folder = resume_from or output_dir or new_directory()
        if resume_from is None:
            check_directory(folder, "output_dir")
        check_space(config, folder, "output_dir")
        fabric = setup_fabric(config.training, device, process)
        folder = Path(fabric.broadcast(str(folder)))
        assert_same_config(fabric, config)
        result, stop = None, 0
        try:
            result = _train(config, folder, set_by, fabric, signals, resume_from is not None, began)
        except StopRequested as requested:  # its traceback refers to the run, which is to go before the processes' group
            stop = requested.signum
        close_process_group(fabric)
        if result is None:
            raise StopRequested(stop)
        return result


def _train(
    config: TrainConfig,
    folder: Path,
    set_by: Mapping[str, Any] | None,
    fabric: Fabric,
    signals: Signals,
    resumes: bool,
    began: float,
) -> Result:
    """Text and model, then the files of the run, then the training."""
    set_malloc_options(config.training)
    step_seconds = summary.expected_step_seconds(config) if fabric.is_global_zero else None
    meter = ResourceMeter(fabric.device)
    checkpoint = _newest_undamaged(folder, fabric) if resumes else None
    parent = None if config.fork_from is None else fork_from.parent(config.fork_from)
    data = Data(tokenizer.load(config.tokenizer), *corpus_tokens.tokens(config))
    gpt2 = _build(config, data, initialised=checkpoint is None and parent is None)
    begins_from = checkpoint or parent
    step = begins_from.step if begins_from else 0
    with (
        _recording(config, folder, set_by, fabric, resumes, checkpoint, parent) as recorder,
        closing(_progress(config, folder, fabric, gpt2, checkpoint, step)) as progress,
        closing(_tracker(config, folder, set_by, step, recorder)) as logger,
    ):
        trainer = Trainer(
            *(config, folder, fabric, gpt2, data, progress, logger),
            StopRequests(fabric, config.training, signals, began),
            begins_from=begins_from,
            first_step=parent.step if parent else 0,
        )
        reporting.print_start(trainer, recorder, step_seconds)
        signals.defer()
        try:
            with reporting.stop_reported(trainer):
                final = trainer.train()
        except StopRequested as stop:
            if stop.signum != TIME_LIMIT:
                raise
            return Result(None, trainer.validation_loss, trainer.checkpoints.last_folder or folder, finished=False)
        finally:
            trainer.close()
            if recorder:
                recorder.step = trainer.step
        return reporting.conclude(trainer, final, meter, recorder)


# --------------------------------------------------------------------------------------------------------------- building


def _newest_undamaged(folder: Path, fabric: Fabric) -> CheckpointInfo | None:
    """The checkpoint that a run continues from, chosen by the first process; None if it has none.

    Raises:
        ConfigError: all are damaged.
    """
    found: CheckpointInfo | None = None
    if fabric.is_global_zero:
        found, damaged = run_checkpoints.undamaged(folder)
        if damaged and found is None:
            rule = f"has no undamaged checkpoint left: {'; '.join(damaged)}"
            raise ConfigError([Violation("resume", relative_path(folder), rule)])
        for each in damaged:
            print_line(f"note: {each}; the run continues from the checkpoint before it")
    return fabric.broadcast(found)


def _build(config: TrainConfig, data: Data, initialised: bool) -> GPT2LMHeadModel:
    """The model, with new weights or those of ``init_from``; or to be filled from a checkpoint."""
    torch.manual_seed(config.training.seed)
    weights = locate(config.init_from) if initialised and config.init_from is not None else None
    return build_model(config.model, config.training, data.tokenizer.end_of_text, weights)


@contextmanager
def _recording(
    config: TrainConfig,
    folder: Path,
    set_by: Mapping[str, Any] | None,
    fabric: Fabric,
    resumes: bool,
    checkpoint: CheckpointInfo | None,
    parent: CheckpointInfo | None,
) -> Iterator[record.Recorder | None]:
    """The record of the run and the lock of its directory, kept by the first process."""
    if not fabric.is_global_zero:
        yield None
        return
    facts: dict[str, Any] = {"device": _device_name(fabric.device), "processes": fabric.world_size}
    if parent is not None:
        facts["forked_from"] = {"checkpoint": str(parent.folder.absolute()), "step": parent.step}
    step = (checkpoint.step if checkpoint else 0) if resumes else None
    with record.recording(config, folder, set_by, resumed_from=step, **facts) as recorder:
        run_checkpoints.recover_interrupted(folder)
        yield recorder


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _progress(
    config: TrainConfig,
    folder: Path,
    fabric: Fabric,
    gpt2: GPT2LMHeadModel,
    checkpoint: CheckpointInfo | None,
    first_step: int,
) -> Progress:
    if not fabric.is_global_zero:
        return Progress(config.training, None, first_step=first_step)
    rows, wrong = read_rows(folder, checkpoint.step) if checkpoint else ([], None)
    if wrong:
        print_line(f"note: {relative_path(folder / FILE)} {wrong}; rows that are lost are not measured again")
    model = f"GPT-2, {short_count(gpt2.num_parameters())} parameters"
    title = f"{model}, on {summary.text_name(config)}   ({summary.run_name(folder)})"
    return Progress(config.training, LossTable(folder, rows), LossPlot(folder / "loss.png", title), first_step)


def _tracker(
    config: TrainConfig, folder: Path, set_by: Mapping[str, Any] | None, step: int, recorder: record.Recorder | None
) -> tracker.SafeLogger:
    if recorder is None:
        return tracker.SafeLogger(None, print_line)
    kind = config.training.tracker
    known = recorder.content.get("tracker", {}).get(kind) if step else None
    try:
        started = tracker.start(config, folder, set_by, known, step)
    except Exception as error:  # a library of somebody else, and often a server behind it
        rule = f"cannot be started: {reason_of(error)}"
        raise Stopped([Violation("training.tracker", kind, rule)]) from error
    if started is not None and started.run_id is not None:
        recorder.add(tracker={kind: started.run_id})
    return tracker.SafeLogger(started, print_line)
