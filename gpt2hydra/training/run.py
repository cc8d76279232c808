"""Training: transformers' GPT-2 under transformers' Trainer, with our data, schedule, progress and checkpoints."""

from __future__ import annotations

import os

if "OMP_WAIT_POLICY" not in os.environ:  # before PyTorch is imported, whose OpenMP reads its settings when it is loaded
    # A thread that waits for another spins, 300,000 times by default, and takes the core from whatever else would run. With
    # 3,000 a small model trains 1.7 times as fast on cores that it shares, and as fast as before on cores of its own.
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")

import math
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import GPT2LMHeadModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments, set_seed

from gpt2hydra.checkpoint import folder as checkpoint
from gpt2hydra.checkpoint import kept
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import GenerateConfig, TrainConfig, TrainingConfig
from gpt2hydra.data import corpus as data
from gpt2hydra.data import tokenizer
from gpt2hydra.data.text import sizes
from gpt2hydra.inference.device import for_training, keep_freed_memory
from gpt2hydra.inference.sampling import Sample, grow
from gpt2hydra.training import record
from gpt2hydra.training.directory import check_directory, new_directory
from gpt2hydra.training.loop import GPT2Trainer, arguments, build_model, evaluate, learning_rate
from gpt2hydra.training.progress import Progress, draw, duration


@dataclass(frozen=True)
class Result:
    """What a run leaves."""

    untrained_loss: float
    validation_loss: float
    checkpoint: Path
    sample: str


class Stopped(ConfigError):
    """The run could not go on. The violation says why, and what there is of it."""

    WHAT = "was stopped"

    def __str__(self) -> str:
        return f"Training {self.WHAT}.\n\n{self.violations[0]}"


class Diverged(Stopped):
    """The loss became infinite or NaN: the settings do not train this model."""

    WHAT = "diverged and was stopped"

    @classmethod
    def at(cls, config: TrainingConfig, step: int, loss: float, saved: str) -> Diverged:
        """The loss of a step was not finite."""
        key, rate = "training.learning_rate", config.learning_rate
        rule = f"made the loss {loss} at step {step:,} of {config.max_steps:,}; {saved}"
        return cls([Violation(key, rate, rule, remedy={key: float(f"{rate / 3:.1g}")})])


def train(config: TrainConfig, output_dir: Path | None = None, set_by: Mapping[str, Any] | None = None) -> Result:
    """Train a model and leave ``checkpoints/``, ``run.json``, ``loss.csv`` and ``loss.png`` in ``output_dir``.

    Args:
        output_dir: by default a new folder below ``outputs/``.
        set_by: who set each value, for the record.

    Raises:
        ConfigError: text, tokenizer or device will not do, or ``output_dir`` holds a finished run; :class:`Diverged` if the
            loss became NaN, :class:`Stopped` if nothing more could be written.
        KeyboardInterrupt: after a line that says what was saved.
    """
    output_dir = output_dir or new_directory()
    run = Run(config, output_dir, set_by)
    try:
        return run()
    except KeyboardInterrupt:
        print(f"\nStopped after step {run.step:,} of {config.training.max_steps:,}; {run.saved()}.", file=sys.stderr)
        raise
    except BrokenPipeError:  # whoever read the output has gone
        raise
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        rule = f"could not be written at step {run.step:,} of {config.training.max_steps:,} ({reason}); {run.saved()}"
        raise Stopped([Violation("the run directory", str(output_dir), rule)]) from error


class Run(TrainerCallback):
    """One training run. As a callback of the Trainer it measures, reports and saves."""

    def __init__(self, config: TrainConfig, output_dir: Path, set_by: Mapping[str, Any] | None) -> None:
        self.config, self.settings = config, config.training
        self.set_by = set_by
        self.output_dir, self.folder = output_dir, kept.place(output_dir, 0)
        self.step, self.saved_step = 0, 0

    def __call__(self) -> Result:
        """Train from the beginning to the end."""
        violations = data.problems(self.config)
        if violations:
            raise ConfigError(violations)
        check_directory(self.output_dir, "output_dir")
        device = for_training(self.settings)
        keep_freed_memory()
        self.tokenizer = tokenizer.load(self.config.tokenizer)
        training, self.validation = data.tokens(self.config)
        set_seed(self.settings.seed)
        model = build_model(self.config.model, self.settings, self.tokenizer.end_of_text)
        with record.recording(self.config, self.output_dir, self.set_by, device=device.type) as recorder:
            self.trainer = GPT2Trainer(
                self.settings,
                model,
                arguments(self.settings, device, self.output_dir),
                data.TrainingBatches(training, self.settings, self.config.data.order),
                self,
            )
            self._announce(model, device, len(training))
            self.progress = Progress(self.settings, self.output_dir)
            try:
                self.trainer.train()
            finally:
                self.progress.close()
                recorder.step = self.step
            result = self._conclude(model)
            recorder.finish(result.validation_loss, time.perf_counter() - self.progress.started)
        return result

    # ------------------------------------------------------------------------------------- called by the Trainer

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Measure the untrained model."""
        self.progress.add(0, None, self._evaluate(kwargs["model"]), None)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Count the step; measure, and at an evaluation save, where the settings say so."""
        self.step = state.global_step
        self.progress.bar.update()
        evaluates = self.step % self.settings.eval_interval == 0 or self.step == self.settings.max_steps
        if not evaluates and self.step % self.settings.log_interval:
            return
        loss = self._training_loss()
        rate = learning_rate(self.settings, self.step - 1)
        if not evaluates:
            self.progress.add(self.step, loss, None, rate)
            return
        elapsed = time.perf_counter()
        validation = self._evaluate(kwargs["model"])
        self.progress.clock += time.perf_counter() - elapsed
        self.progress.add(self.step, loss, validation, rate)
        self.folder = kept.place(self.output_dir, self.step)
        weights = kwargs["model"].state_dict()
        checkpoint.save(self.folder, weights, self.tokenizer, self.config, self.step, validation_loss=validation)
        kept.retire(self.output_dir, 2)
        self.saved_step = self.step
        self.progress.restart_clock()

    def _training_loss(self) -> float:
        """The mean loss since this was asked before, all of it fetched from the device at once."""
        losses = torch.stack(self.trainer.losses).tolist()
        self.trainer.losses.clear()
        passes = self.settings.gradient_accumulation_steps
        first = self.step - len(losses) // passes + 1
        for index, loss in enumerate(losses):
            self._see_that_finite(loss, first + index // passes)
        return math.fsum(losses) / len(losses)

    def _evaluate(self, model: GPT2LMHeadModel) -> float:
        loss = evaluate(model, data.validation_batches(self.validation, self.settings))
        self._see_that_finite(loss, self.step)
        return loss

    def _see_that_finite(self, loss: float, step: int) -> None:
        if not math.isfinite(loss):
            raise Diverged.at(self.settings, step, loss, self.saved())

    # ------------------------------------------------------------------------------------------- said to the user

    def saved(self) -> str:
        """Whether there is a checkpoint, in words."""
        return (
            f"the checkpoint of step {self.saved_step:,} is in {self.folder}"
            if self.saved_step
            else "there is no checkpoint yet"
        )

    def _announce(self, model: GPT2LMHeadModel, device: torch.device, training: int) -> None:
        text = "the Python language reference" if self.config.data.path is None else self.config.data.path
        print(
            f"GPT-2, {model.num_parameters():,} parameters, {self.settings.precision} on {device.type}\n"
            f"{text}: {training:,} tokens for training, {len(self.validation):,} for validation\n",
            file=sys.stderr,
        )

    def _conclude(self, model: GPT2LMHeadModel) -> Result:
        """Picture, sample, and where everything is."""
        losses = self.progress.validation()
        untrained, final = losses[0][1], losses[-1][1]
        millions = model.num_parameters() / 1e6
        draw(self.progress.rows, f"GPT-2, {millions:.1f}M parameters: loss during training", self.output_dir / "loss.png")
        tokens, seconds = self.progress.rows[-1].tokens, time.perf_counter() - self.progress.started
        print(
            f"\nTrained {self.step:,} steps on {tokens:,} tokens in {duration(seconds)}.\n\n"
            f"  validation loss  {untrained:.3f} untrained → {final:.3f} trained (nats per token)\n"
            f"  checkpoint       {_as_seen_from_here(self.folder)}\n"
            f"  losses           {_as_seen_from_here(self.output_dir / 'loss.png')}, loss.csv beside it\n"
            f"  sample from it   {sampling_command(self.output_dir)}"
        )
        if final >= untrained:
            remedy = f"training.learning_rate={self.settings.learning_rate / 3:.1g}"
            print(f"note: the model is no better than an untrained one; try: {remedy}", file=sys.stderr)
        sample = self._sample(model)
        if sample:
            print(f"\nA sample of {self.settings.sample_tokens} tokens:\n{sample}")
        return Result(untrained, final, self.folder, sample)

    def _sample(self, model: GPT2LMHeadModel) -> str:
        """Text as between two documents, or where there is one only, as on a new line."""
        if self.settings.sample_tokens == 0:
            return ""
        end, alone = self.tokenizer.end_of_text, len(sizes(self.config.data.path)) == 1
        start = self.tokenizer.encode("\n") if alone or end is None else [end]
        model.train(False)
        seed = self.settings.seed
        settings = GenerateConfig(checkpoint=str(self.folder), max_new_tokens=self.settings.sample_tokens, seed=seed)
        sample = Sample(start, settings, self.tokenizer, frozenset() if end is None else frozenset([end]))
        grow(model, [sample])
        return sample.text


def sampling_command(output_dir: Path) -> str:
    """What to type, in this directory, to sample from a run: quoted for the shell, and for Hydra where a path needs it."""
    path = _as_seen_from_here(output_dir)
    if all(character.isalnum() or character in "/._-" for character in path):
        override = f"checkpoint={path}"
    else:
        override = "checkpoint='" + path.replace("'", "\\'") + "'"
        override = shlex.quote(override) if set(override) & set('"$`\\!') else f'"{override}"'
    return f'{_generator()} {override} prompt="The "'


def _generator() -> str:
    """``generate.py`` beside the ``train.py`` that runs, or else the command that is installed with this package."""
    script = Path(sys.argv[0]).with_name("generate.py")
    if Path(sys.argv[0]).name != "train.py" or not script.is_file():
        return "gpt2hydra-generate"
    return f"{shlex.quote(Path(sys.executable).name)} {shlex.quote(_as_seen_from_here(script))}"


def _as_seen_from_here(path: Path) -> str:
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)
