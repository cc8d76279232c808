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
from gpt2hydra.checkpoint.folder import find_checkpoint
from gpt2hydra.checkpoint.run_checkpoints import CheckpointInfo
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.data import corpus_checks, corpus_tokens, tokenizer
from gpt2hydra.inference.device import select_training_device
from gpt2hydra.runs import record
from gpt2hydra.runs.directory import check_directory, check_space, default_run_directory
from gpt2hydra.runs.loss_plot import LossPlot
from gpt2hydra.runs.metrics_csv import LOSS_CSV, LossTable, read_rows
from gpt2hydra.sizing.malloc import set_malloc_options
from gpt2hydra.training import reporting, summary, tracker
from gpt2hydra.training.fabric import assert_same_config, close_process_group, setup_fabric
from gpt2hydra.training.model import build_model
from gpt2hydra.training.processes import check_world_size, this_process
from gpt2hydra.training.progress import Progress, print_line
from gpt2hydra.training.resource_meter import ResourceMeter
from gpt2hydra.training.result import Diverged, Result, Stopped
from gpt2hydra.training.shared_requests import SharedRequests
from gpt2hydra.training.signals import TIME_LIMIT, Interrupted, Signals, StopRequested
from gpt2hydra.training.trainer import Data, Trainer
from gpt2hydra.utils.formatting import abbreviate_number, error_reason
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
        set_by: the sources of each value, for ``run.json``.
        resume_from: the directory of a run to continue, from its newest complete checkpoint.

    Raises:
        ConfigError: text, tokenizer or device cannot be used, ``output_dir`` holds a run, or ``resume_from``
            has only damaged checkpoints; :class:`Diverged` if the loss became NaN, :class:`Stopped` if
            nothing more could be written.
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
    with Signals(quiet=not process.is_rank_zero) as signals:
        device = select_training_device(config.training)
        folder = resume_from or output_dir or default_run_directory()
        if resume_from is None:
            check_directory(folder, "output_dir")
        check_space(config, folder, "output_dir")
        fabric = setup_fabric(config.training, device, process)
        folder = Path(fabric.broadcast(str(folder)))
        assert_same_config(fabric, config)
        result, stop = None, 0
        try:
            result = _train(config, folder, set_by, fabric, signals, resume_from is not None, began)
        except StopRequested as requested:  # its traceback refers to the run, which must be freed before the process group
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
    is_resumed: bool,
    began: float,
) -> Result:
    """Load text and model, open the files of the run, then train."""
    set_malloc_options(config.training)
    step_seconds = summary.estimate_step_seconds(config) if fabric.is_global_zero else None
    meter = ResourceMeter(fabric.device)
    checkpoint = _choose_checkpoint(folder, fabric) if is_resumed else None
    parent = None if config.fork_from is None else fork_from.parent_checkpoint(config.fork_from)
    data = Data(tokenizer.load(config.tokenizer), *corpus_tokens.load_tokens(config))
    gpt2 = _build_model(config, data, load_init_weights=checkpoint is None and parent is None)
    start_checkpoint = checkpoint or parent
    step = start_checkpoint.step if start_checkpoint else 0
    with (
        _record_on_rank_zero(config, folder, set_by, fabric, is_resumed, checkpoint, parent) as recorder,
        closing(_make_progress(config, folder, fabric, gpt2, checkpoint, step)) as progress,
        closing(_make_tracker(config, folder, set_by, step, checkpoint is not None, recorder)) as safe_tracker,
    ):
        trainer = Trainer(
            *(config, folder, fabric, gpt2, data, progress, safe_tracker),
            SharedRequests(fabric, config.training, signals, began),
            start_checkpoint=start_checkpoint,
            first_step=parent.step if parent else 0,
        )
        reporting.print_start(trainer, recorder, step_seconds)
        signals.defer()
        try:
            with reporting.report_stop(trainer):
                final = trainer.train()
        except StopRequested as stop:
            if stop.signum != TIME_LIMIT:
                raise
            return Result(None, trainer.validation_loss, trainer.checkpoints.last_folder or folder, finished=False)
        finally:
            trainer.close()
            if recorder:
                recorder.step = trainer.step
        return reporting.report_result(trainer, final, meter, recorder)


# --------------------------------------------------------------------------------------------------------------- building


def _choose_checkpoint(folder: Path, fabric: Fabric) -> CheckpointInfo | None:
    """Return the checkpoint to continue from, which rank 0 chooses; None if none was saved yet.

    Raises:
        ConfigError: all are damaged.
    """
    found: CheckpointInfo | None = None
    if fabric.is_global_zero:
        found, damaged = run_checkpoints.find_newest_intact(folder)
        if damaged and found is None:
            rule = f"has no undamaged checkpoint left: {'; '.join(damaged)}"
            raise ConfigError([Violation("resume", relative_path(folder), rule)])
        for each in damaged:
            print_line(f"note: {each}; the run continues from the checkpoint before it")
    return fabric.broadcast(found)


def _build_model(config: TrainConfig, data: Data, load_init_weights: bool) -> GPT2LMHeadModel:
    """Build the model with new weights, or with those of ``init_from`` if no checkpoint replaces them."""
    torch.manual_seed(config.training.seed)
    weights = find_checkpoint(config.init_from) if load_init_weights and config.init_from is not None else None
    return build_model(config.model, config.training, data.tokenizer.end_of_text, weights)


@contextmanager
def _record_on_rank_zero(
    config: TrainConfig,
    folder: Path,
    set_by: Mapping[str, Any] | None,
    fabric: Fabric,
    is_resumed: bool,
    checkpoint: CheckpointInfo | None,
    parent: CheckpointInfo | None,
) -> Iterator[record.Recorder | None]:
    """Context manager: keep the run's record and lock its directory, on rank 0; yields None on others."""
    if not fabric.is_global_zero:
        yield None
        return
    facts: dict[str, Any] = {"device": _device_name(fabric.device), "processes": fabric.world_size}
    if parent is not None:
        facts["forked_from"] = {"checkpoint": str(parent.folder.absolute()), "step": parent.step}
    step = (checkpoint.step if checkpoint else 0) if is_resumed else None
    with record.record_run(config, folder, set_by, resumed_from=step, **facts) as recorder:
        run_checkpoints.recover_interrupted(folder)
        yield recorder


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _make_progress(
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
        print_line(f"note: {relative_path(folder / LOSS_CSV)} {wrong}; rows that are lost are not measured again")
    model = f"GPT-2, {abbreviate_number(gpt2.num_parameters())} parameters"
    title = f"{model}, on {summary.text_name(config)}   ({summary.run_name(folder)})"
    return Progress(config.training, LossTable(folder, rows), LossPlot(folder / "loss.png", title), first_step)


def _make_tracker(
    config: TrainConfig,
    folder: Path,
    set_by: Mapping[str, Any] | None,
    step: int,
    is_resumed: bool,
    recorder: record.Recorder | None,
) -> tracker.SafeTracker:
    if recorder is None:
        return tracker.SafeTracker(None, print_line)
    kind = config.training.tracker
    known = recorder.content.get("tracker", {}).get(kind) if is_resumed else None
    try:
        started = tracker.start_tracker(config, folder, set_by, known, step, is_resumed)
    except Exception as error:  # any error of the tracker's library or server
        rule = f"cannot be started: {error_reason(error)}"
        raise Stopped([Violation("training.tracker", kind, rule)]) from error
    if started is not None and started.run_id is not None:
        recorder.update(tracker={kind: started.run_id})
    return tracker.SafeTracker(started, print_line)
