"""A training run from start to end: check, build, train, measure, tell."""

from __future__ import annotations

import os

if "OMP_WAIT_POLICY" not in os.environ:  # before PyTorch is imported, whose OpenMP reads its settings when it is loaded
    # A thread that waits for another spins, 300,000 times by default, and takes the core from whatever else would run. With
    # 3,000 a small model trains 1.7 times as fast on cores that it shares, and as fast as before on cores of its own.
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from safetensors import SafetensorError

from gpt2hydra.checkpoint import folder as checkpoint
from gpt2hydra.checkpoint import init_from, run_checkpoints, state
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.data import corpus, tokenizer
from gpt2hydra.data.shards import Unreadable
from gpt2hydra.inference.device import for_training, set_malloc_options
from gpt2hydra.inference.sampling import Sample
from gpt2hydra.runs import record
from gpt2hydra.runs.directory import check_directory, check_space, new_directory
from gpt2hydra.runs.loss_plot import LossPlot
from gpt2hydra.runs.metrics_csv import LossTable, rows_until
from gpt2hydra.training import fabric as processes
from gpt2hydra.training import summary, tracker
from gpt2hydra.training.loop import Cut, Loop
from gpt2hydra.training.model import WithLoss, build_model
from gpt2hydra.training.optimizer import adamw
from gpt2hydra.training.outcome import Diverged, Result, Stopped
from gpt2hydra.training.processes import check_world_size, this_process
from gpt2hydra.training.progress import Progress, say, tell
from gpt2hydra.training.resource_meter import ResourceMeter
from gpt2hydra.training.sample import format_sample, sample
from gpt2hydra.training.signals import Interrupted, Signals
from gpt2hydra.utils.formatting import duration, reason_of, short_count
from gpt2hydra.utils.paths import relative_path

__all__ = ["Diverged", "Interrupted", "Result", "Stopped", "train"]


def train(
    config: TrainConfig,
    output_dir: Path | None = None,
    set_by: Mapping[str, Any] | None = None,
    *,
    resume_from: Path | None = None,
) -> Result:
    """Train a model and leave ``checkpoints/``, ``run.json``, ``loss.csv`` and ``loss.png`` in ``output_dir``.

    Args:
        output_dir: by default a new folder below ``outputs/``.
        set_by: who set each value, for the record.
        resume_from: the directory of a run, which goes on there, from its newest whole checkpoint.

    Raises:
        ConfigError: text, tokenizer or device will not do, or ``output_dir`` holds a run; :class:`Diverged` if the
            loss became NaN, :class:`Stopped` if nothing more could be written.
        Interrupted: the run was told to stop, by Ctrl-C or another signal, and saved.
    """
    violations = [*check_world_size(this_process(), config), *init_from.check_init_from(config), *corpus.problems(config)]
    if violations:
        raise ConfigError(violations)
    device = for_training(config.training)
    folder = resume_from or output_dir or new_directory()
    if resume_from is None:
        check_directory(folder, "output_dir")
    check_space(config, folder, "output_dir")
    fabric = processes.setup_fabric(config.training, device)
    folder = Path(fabric.broadcast(str(folder)))
    processes.assert_same_config(fabric, config)
    with Signals(quiet=not fabric.is_global_zero) as signals, processes.process_group_cleanup(fabric):
        return Run(config, folder, set_by, fabric, signals, resumes=resume_from is not None)()


class Run:
    """One training run, in one of its processes. The first of them writes and speaks."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        set_by: Mapping[str, Any] | None,
        fabric: Fabric,
        signals: Signals,
        resumes: bool,
    ) -> None:
        self.config, self.settings, self.folder, self.set_by = config, config.training, folder, set_by
        self.fabric, self.signals, self.resumes = fabric, signals, resumes
        self.first = fabric.is_global_zero
        self.tracker = tracker.SafeLogger(None, say)

    def __call__(self) -> Result:
        """Train to the end."""
        set_malloc_options(self.settings)
        watch = ResourceMeter(self.fabric.device)
        found = self._checkpoint_to_go_on_from()
        loop = self._build(found)
        with self._recording(found) as recorder, self._told_how_it_stopped(loop):
            if self.first:
                run_checkpoints.recover_interrupted(self.folder)
            loop.progress = self._progress(found, loop.gpt2)
            try:
                self.tracker = self._start_tracker(loop.step, recorder)
                self._announce(loop)
                loop.run()
                final = loop.final_validation_loss()
                return self._conclude(loop, final, watch, recorder)
            finally:
                loop.progress.close()
                loop.progress.picture(last=True)
                self.tracker.close()
                if recorder:
                    recorder.step = loop.step

    # ------------------------------------------------------------------------------------------------------------- building

    def _checkpoint_to_go_on_from(self) -> run_checkpoints.CheckpointInfo | None:
        """The newest whole checkpoint of the run that goes on, seen by the first process; damaged ones are told."""
        found: run_checkpoints.CheckpointInfo | None = None
        if self.first and self.resumes:
            found, damaged = run_checkpoints.undamaged(self.folder)
            for each in damaged:
                say(f"note: {each}; the checkpoint before it is taken")
        return self.fabric.broadcast(found)

    @contextmanager
    def _recording(self, found: run_checkpoints.CheckpointInfo | None) -> Iterator[record.Recorder | None]:
        if not self.first:
            yield None
            return
        facts = {"device": self._device_name(), "processes": self.fabric.world_size}
        step = None if not self.resumes else found.step if found else 0
        with record.recording(self.config, self.folder, self.set_by, resumed_from=step, **facts) as recorder:
            yield recorder

    def _device_name(self) -> str:
        device = self.fabric.device
        return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

    def _build(self, found: run_checkpoints.CheckpointInfo | None) -> Loop:
        """Text, model, optimizer, and what was saved of them."""
        own_tokenizer = tokenizer.load(self.config.tokenizer)
        training, validation = corpus.tokens(self.config)
        torch.manual_seed(self.settings.seed)
        start_from = None if found or self.config.init_from is None else checkpoint.locate(self.config.init_from)
        gpt2 = build_model(self.config.model, self.settings, own_tokenizer.end_of_text, start_from)
        model: Any = WithLoss(gpt2)
        if self._compiles():
            model = torch.compile(model, dynamic=False)
        model = self.fabric.setup_module(model)
        optimizer = adamw(gpt2, self.settings)
        loop = Loop(
            self.config,
            self.folder,
            self.fabric,
            gpt2,
            model,
            optimizer,
            self.fabric.setup_optimizers(optimizer),
            own_tokenizer,
            training,
            validation,
            Progress(self.settings, None),
            self.signals,
            measured=lambda row: self.tracker.numbers(row),
            evaluated=self._sample_now_and_then,
        )
        if found:
            loop.step, loop.saved = found.step, found
            loop.losses, loop.norm = state.restore(found.folder, gpt2, optimizer)
        return loop

    def _compiles(self) -> bool:
        return self.settings.compile == "true" or (self.settings.compile == "auto" and self.fabric.device.type == "cuda")

    def _progress(self, found: run_checkpoints.CheckpointInfo | None, gpt2: Any) -> Progress:
        step = found.step if found else 0
        if not self.first:
            return Progress(self.settings, None, first_step=step)
        model = f"GPT-2, {short_count(gpt2.num_parameters())} parameters"
        title = f"{model}, on {summary.text_name(self.config)}   ({summary.run_name(self.folder)})"
        plot = LossPlot(self.folder / "loss.png", title)
        return Progress(self.settings, LossTable(self.folder, rows_until(self.folder, step) if found else ()), plot, step)

    # ---------------------------------------------------------------------------------------------------- while it goes on

    def _start_tracker(self, step: int, recorder: record.Recorder | None) -> tracker.SafeLogger:
        if recorder is None:
            return tracker.SafeLogger(None, say)
        kind = self.settings.tracker
        known = recorder.content.get("tracker", {}).get(kind) if step else None
        try:
            started = tracker.start(self.config, self.folder, self.set_by, known, step)
        except Exception as error:  # a library of somebody else, and often a server behind it
            rule = f"cannot be started: {reason_of(error)}"
            raise Stopped([Violation("training.tracker", kind, rule)]) from error
        if started is not None and started.run_id is not None:
            recorder.add(tracker={kind: started.run_id})
        return tracker.SafeLogger(started, say)

    def _sample_now_and_then(self, loop: Loop) -> None:
        """A sample at an evaluation, if a multiple of ``sample_interval`` was passed since the evaluation before."""
        interval, step = self.settings.sample_interval, loop.step
        before = max(0, step - self.settings.eval_interval)
        if interval and step and step < self.settings.max_steps and step // interval > before // interval:
            drawn = self._sample(loop)
            if drawn:
                say(f"\n{format_sample(drawn, f' at step {step:,}')}\n")
                self.tracker.sample(step, drawn.text)

    def _sample(self, loop: Loop) -> Sample | None:
        """None in all processes but the first."""
        if not self.first or not self.settings.sample_tokens or loop.saved is None:
            return None
        shared = self.settings.strategy == "fsdp"  # no process has the whole model, so the saved one is asked
        return sample(self.config, loop.tokenizer, loop.saved.folder, None if shared else loop.gpt2)

    # ---------------------------------------------------------------------------------------------------------- at its ends

    def _announce(self, loop: Loop) -> None:
        if not self.first:
            return
        parameters, device = loop.gpt2.num_parameters(), self.fabric.device.type
        tokens = len(loop.training), len(loop.validation)
        say(summary.opening(self.config, parameters, device, self.fabric.world_size, tokens))
        say(summary.start_banner(self.config, loop.step, self.folder, loop.eval_sequences, self._compiles()))

    def _conclude(self, loop: Loop, final: float, watch: ResourceMeter, recorder: record.Recorder | None) -> Result:
        """Sample, result, and where everything is."""
        assert loop.saved is not None
        progress = loop.progress
        if recorder is None or progress.table is None:
            return Result(None, final, loop.saved.folder, "")
        usage = watch.usage(self.config, progress.tokens_per_second, self.fabric.world_size)
        best = run_checkpoints.best(self.folder) or loop.saved
        recorder.step, tokens = loop.step, loop.step * self.settings.tokens_per_step
        recorder.finish(final, progress.seconds, steps=loop.step, tokens=tokens, best_step=best.step, **usage.to_dict())
        untrained = dict(progress.table.validation()).get(0)
        drawn = self._sample(loop)
        if drawn:
            tell(f"\n{format_sample(drawn)}")
            self.tracker.sample(loop.step, drawn.text)
        if untrained is not None and final >= untrained:
            remedy = Violation("", remedy={"training.learning_rate": float(f"{self.settings.learning_rate / 3:.1g}")})
            say(f"note: the model is no better than an untrained one; try: {remedy.suggestion}")
        took = duration(progress.seconds) + (f" since step {progress.first_step:,}" if progress.first_step else "")
        tell(summary.summary(self.config, self.folder, took, (untrained, final), loop.final_sequences, best, str(usage)))
        return Result(untrained, final, loop.saved.folder, drawn.text if drawn else "")

    @contextmanager
    def _told_how_it_stopped(self, loop: Loop) -> Iterator[None]:
        """Around the training: its last line tells how far it came, what was saved, and how it goes on."""
        try:
            yield
        except Cut:
            assert self.signals.told is not None
            took = duration(loop.progress.seconds)
            loop.progress.say(summary.interrupted_summary(self.config, loop.step, took, loop.saved_in_words(), self.folder))
            raise Interrupted(self.signals.told) from None
        except BrokenPipeError:  # whoever read the output has gone
            raise
        except Unreadable as error:  # a token file that changed, or holds what is no token
            where = f"at step {loop.step:,} of {self.settings.max_steps:,}; {loop.saved_in_words()}"
            raise Stopped([replace(each, rule=f"{each.rule}, {where}") for each in error.violations]) from None
        except (OSError, SafetensorError) as error:
            steps, where = self.settings.max_steps, relative_path(self.folder)
            rule = f"could not be written at step {loop.step:,} of {steps:,} ({reason_of(error)}); {loop.saved_in_words()}"
            remedy = {"resume": where} if loop.saved else {}
            raise Stopped([Violation("the run directory", where, rule, remedy=remedy)]) from error
