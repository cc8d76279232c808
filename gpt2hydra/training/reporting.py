"""The reports of a run: at its start, at its end, and if it stops before its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from safetensors import SafetensorError

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.config.errors import Violation
from gpt2hydra.data.token_files import UnreadableTokens
from gpt2hydra.runs import record
from gpt2hydra.training import summary
from gpt2hydra.training.model import uses_torch_compile
from gpt2hydra.training.progress import print_line, print_result
from gpt2hydra.training.resource_meter import ResourceMeter
from gpt2hydra.training.result import Result, Stopped, describe_checkpoint
from gpt2hydra.training.sample import format_sample
from gpt2hydra.training.signals import TIME_LIMIT, StopRequested
from gpt2hydra.training.trainer import Trainer
from gpt2hydra.utils.formatting import error_reason, format_duration
from gpt2hydra.utils.paths import relative_path


def print_start(trainer: Trainer, recorder: record.Recorder | None, step_seconds: float | None) -> None:
    """Print model, data, what happens first, and from ``step_seconds`` the time of a long run."""
    if recorder is None:
        return
    config, fabric, data = trainer.config, trainer.fabric, trainer.data
    tokens = len(data.training), len(data.validation)
    print_line(summary.format_opening(config, trainer.gpt2.num_parameters(), fabric.device.type, fabric.world_size, tokens))
    _note_rising_rate(trainer, recorder)
    seconds = (step_seconds or 0.0) * (config.training.max_steps - trainer.step)
    if seconds > summary.LONG_RUN_SECONDS:
        print_line(summary.format_long_run_note(config, seconds, fabric.device.type))
    is_compiled = uses_torch_compile(trainer.settings, fabric.device)
    print_line(summary.format_start(config, trainer.step, trainer.folder, trainer.evaluator.sequences, is_compiled))


def _note_rising_rate(trainer: Trainer, recorder: record.Recorder) -> None:
    """Print a note if a changed ``max_steps`` makes the learning rate rise again."""
    config, step = trainer.settings, trainer.step
    resumed = recorder.content["resumed"]
    before = resumed[-1]["changed"].get("training.max_steps", {}).get("was") if resumed else None
    if before is None or not 0 < step < config.max_steps:
        return
    shorter = replace(
        config,
        max_steps=before,
        warmup_steps=min(before, config.warmup_steps),
        decay_steps=None,
        early_stopping_patience=0,
    )
    last = shorter.learning_rate_at(step - 1)
    following = config.learning_rate_at(step)
    if following > last:
        print_line(
            f"note: the learning rate rises from {last:.2g} to {following:.2g}: training.max_steps, which was {before:,}, "
            f"stretches the {config.schedule} schedule\n"
        )


def report_result(trainer: Trainer, final: float, meter: ResourceMeter, recorder: record.Recorder | None) -> Result:
    """Record and print the result, with a sample and the places of the files. Return the result."""
    config, progress, steps, last = trainer.config, trainer.progress, trainer.step, trainer.checkpoints.last
    assert last is not None
    if recorder is None or progress.table is None:
        return Result(None, final, last.folder)
    usage = meter.usage(config, progress.tokens_per_second, trainer.fabric.world_size)
    best = run_checkpoints.find_best(trainer.folder) or last
    recorder.step, skipped = steps, progress.table.skipped_steps
    recorder.finish(
        final,
        progress.seconds,
        steps=steps,
        tokens=steps * config.training.tokens_per_step,
        best_step=best.step,
        skipped_steps=skipped,
        stopped_early=trainer.stopped_early,
        **usage.to_dict(),
    )
    sampled = trainer.sampler.sample(last.folder)
    if sampled:
        recorder.update(sample=sampled.text)
        print_result(f"\n{format_sample(sampled)}")
        trainer.tracker.log_sample(steps, sampled.text)
    initial = dict(progress.table.validation_losses()).get(trainer.first_step)
    final_sequences = 0 if config.training.final_eval_sequences == 0 else trainer.evaluator.final_sequences(steps)
    losses = summary.ValidationLosses(initial, trainer.validation_loss, trainer.evaluator.sequences, final, final_sequences)
    if not losses.has_fallen:
        remedy = Violation("", remedy={"training.learning_rate": float(f"{config.training.learning_rate / 3:.1g}")})
        print_line(f"note: training did not lower the validation loss; try: {remedy.suggestion}")
    took = format_duration(progress.seconds) + (f" since step {progress.first_step:,}" if progress.first_step else "")
    print_result(summary.format_end(config, trainer.folder, steps, took, losses, best, str(usage), skipped))
    return Result(initial, final, last.folder, sampled.text if sampled else "")


@contextmanager
def report_stop(trainer: Trainer) -> Iterator[None]:
    """Context manager: if training stops, report how far it came, what was saved, and how to continue."""
    try:
        yield
    except StopRequested as stop:
        why = ", because of training.max_hours" if stop.signum == TIME_LIMIT else ""
        took, saved = format_duration(trainer.progress.seconds), describe_checkpoint(trainer.checkpoints.last_folder)
        stopped = summary.format_interruption(trainer.config, trainer.step, took, saved, trainer.folder, why)
        trainer.progress.print(stopped, always=True)
        raise
    except BrokenPipeError:  # the reader of the output has closed it
        raise
    except UnreadableTokens as error:  # a token file that changed, or holds an invalid token
        raise Stopped([_add_what_is_saved(each, trainer) for each in error.violations]) from None
    except RuntimeError as error:  # of torch.distributed, or a bug
        what = trainer.stall_detector.describe_timeout(error, trainer.step)
        if what is None:
            raise
        stalled = Violation("training.stall_timeout", trainer.settings.stall_timeout, what)
        raise Stopped([_add_what_is_saved(stalled, trainer, resumable=True)]) from error
    except (OSError, SafetensorError) as error:
        rule = f"could not be written ({error_reason(error)})"
        unwritten = Violation("the run directory", relative_path(trainer.folder), rule)
        raise Stopped([_add_what_is_saved(unwritten, trainer, resumable=True)]) from error


def _add_what_is_saved(violation: Violation, trainer: Trainer, resumable: bool = False) -> Violation:
    """Add to ``violation`` how far the run came, what is saved and, if ``resumable``, how to continue."""
    position = f"at step {trainer.step:,} of {trainer.settings.max_steps:,}"
    rule = f"{violation.rule}, {position}; {describe_checkpoint(trainer.checkpoints.last_folder)}"
    remedy = {"resume": relative_path(trainer.folder)} if resumable and trainer.checkpoints.last else {}
    return replace(violation, rule=rule, remedy=remedy)
