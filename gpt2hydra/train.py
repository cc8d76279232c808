"""Training: transformers' GPT-2 under transformers' Trainer, with our data, schedule, progress and checkpoints."""

from __future__ import annotations

import math
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import (
    GPT2LMHeadModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from gpt2hydra import checkpoint, data, tokenizer
from gpt2hydra.config import GPT2Config
from gpt2hydra.device import check_precision, keep_freed_memory, pick
from gpt2hydra.generate import new_tokens, stream
from gpt2hydra.progress import Progress, draw, duration
from gpt2hydra.rules import ConfigError, Violation
from gpt2hydra.run_config import GenerateConfig, TrainConfig, TrainingConfig


@dataclass(frozen=True)
class Result:
    """What a run leaves."""

    untrained_loss: float
    validation_loss: float
    checkpoint: Path
    sample: str


class Diverged(ConfigError):
    """The loss became infinite or NaN: the settings do not train this model."""

    def __init__(self, config: TrainingConfig, step: int, loss: float, saved: str) -> None:
        rate = config.learning_rate
        rule = f"made the loss {loss} at step {step:,} of {config.max_steps:,}; {saved}"
        remedy = f"training.learning_rate={rate / 3:.1g}"
        super().__init__([Violation("training.learning_rate", rate, rule, suggestion=remedy)])

    def __str__(self) -> str:
        return f"Training diverged and was stopped.\n\n{self.violations[0]}"


def train(config: TrainConfig, output_dir: Path | None = None) -> Result:
    """Train a model and leave ``checkpoint/``, ``loss.csv`` and ``loss.png`` in ``output_dir``.

    The checkpoint is written anew at each evaluation. ``output_dir`` is Hydra's run directory inside a job, and a new
    folder below ``outputs/`` otherwise.

    Raises:
        ConfigError: text, tokenizer or device will not do; :class:`Diverged` if the loss became NaN.
        SystemExit: 130, the user interrupted.
    """
    if output_dir is None:
        from gpt2hydra.app import output_dir as default_output_dir

        output_dir = default_output_dir()
    run = Run(config, output_dir)
    try:
        return run()
    except KeyboardInterrupt:
        print(f"\nInterrupted at step {run.step:,} of {config.training.max_steps:,}; {run.saved()}", file=sys.stderr)
        raise SystemExit(130) from None


class Run(TrainerCallback):  # type: ignore[misc]  # transformers gives its callbacks no types
    """One training run. As a callback of the Trainer it measures, reports and saves."""

    def __init__(self, config: TrainConfig, output_dir: Path) -> None:
        self.config, self.settings = config, config.training
        self.output_dir, self.folder = output_dir, output_dir / "checkpoint"
        self.step, self.saved_step = 0, 0

    def __call__(self) -> Result:
        device = pick(self.settings.device, "training.device")
        check_precision(self.settings.precision, device)
        keep_freed_memory()
        self.tokenizer = tokenizer.load(self.config.tokenizer)
        training, self.validation = data.tokens(self.config)
        set_seed(self.settings.seed)
        model = build_model(self.config.model, self.settings, self.tokenizer.end_of_text)
        self.output_dir.mkdir(parents=True, exist_ok=True)
        self.trainer = GPT2Trainer(
            self.settings,
            model,
            arguments(self.settings, device, self.output_dir),
            data.TrainingBatches(training, self.settings),
            self,
        )
        self._announce(model, device, len(training))
        self.progress = Progress(self.settings, self.output_dir)
        try:
            self.trainer.train()
        finally:
            self.progress.close()
        return self._conclude(model)

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
        checkpoint.save(kwargs["model"], self.tokenizer, self.config, self.step, self.folder)
        self.saved_step = self.step
        self.progress.restart_clock()

    def _training_loss(self) -> float:
        """The mean loss since this was asked before, all of it fetched from the device at once."""
        losses = torch.stack(self.trainer.losses).tolist()
        self.trainer.losses.clear()
        passes = self.settings.gradient_accumulation_steps
        first = self.step - len(losses) // passes + 1
        for index, loss in enumerate(losses):
            if not math.isfinite(loss):
                raise Diverged(self.settings, first + index // passes, loss, self.saved())
        return math.fsum(losses) / len(losses)

    def _evaluate(self, model: GPT2LMHeadModel) -> float:
        return evaluate(model, data.validation_batches(self.validation, self.settings))

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
            f"  validation loss  {untrained:.3f} untrained, {final:.3f} now (nats per token)\n"
            f"  checkpoint       {self.folder}\n"
            f"  losses           {self.output_dir / 'loss.png'}, loss.csv beside it\n"
            f"  sample from it   {sampling_command(self.output_dir)}"
        )
        sample = self._sample(model)
        if sample:
            print(f"\nA sample of {self.settings.sample_tokens} tokens:\n{sample}")
        return Result(untrained, final, self.folder, sample)

    def _sample(self, model: GPT2LMHeadModel) -> str:
        """Text as between two documents, or where there is one only, as on a new line."""
        if self.settings.sample_tokens == 0:
            return ""
        end, alone = self.tokenizer.end_of_text, len(data.sizes(self.config.data.path)) == 1
        start = self.tokenizer.encode("\n") if alone or end is None else [end]
        settings = GenerateConfig(checkpoint=str(self.folder), max_new_tokens=self.settings.sample_tokens)
        generator = torch.Generator().manual_seed(self.settings.seed)
        ends = frozenset() if end is None else frozenset([end])
        return "".join(stream(new_tokens(model.eval(), start, settings, generator, ends), self.tokenizer))


def sampling_command(output_dir: Path) -> str:
    """What to type to sample from a run: quoted for the shell, and for Hydra where a path needs it."""
    here = Path.cwd()
    path = str(output_dir.relative_to(here) if output_dir.is_absolute() and output_dir.is_relative_to(here) else output_dir)
    plain = all(character.isalnum() or character in "/._-" for character in path)
    quoted = path if plain else "'" + path.replace("'", "\\'") + "'"
    program = "gpt2hydra-generate" if Path(sys.argv[0]).name.startswith("gpt2hydra") else "python generate.py"
    return f'{program} {shlex.quote(f"checkpoint={quoted}")} prompt="The "'


# ---------------------------------------------------------------------------------------------------- what is computed


def build_model(config: GPT2Config, settings: TrainingConfig, end_of_text: int | None = None) -> GPT2LMHeadModel:
    """An untrained GPT-2: weights from N(0, 0.02), those of residual projections divided by sqrt(2 n_layer)."""
    model = GPT2LMHeadModel(checkpoint.runtime_config(config, end_of_text, settings.attention))
    return model.to(torch.bfloat16) if settings.precision == "bf16_pure" else model


def token_loss(model: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The mean cross-entropy of ``targets`` (B, T) after ``inputs`` (B, T), in nats; a scalar, in fp32."""
    logits = model(input_ids=batch["inputs"], use_cache=False).logits  # (B, T, V)
    return cross_entropy(logits.flatten(0, 1).float(), batch["targets"].flatten())


@torch.no_grad()
def evaluate(model: GPT2LMHeadModel, batches: Iterable[Mapping[str, torch.Tensor]]) -> float:
    """The mean loss over all sequences of ``batches``, without dropout."""
    model.eval()
    losses, sequences = 0.0, 0
    for batch in batches:
        on_device = {name: each.to(model.device) for name, each in batch.items()}
        losses += token_loss(model, on_device).item() * len(batch["inputs"])
        sequences += len(batch["inputs"])
    model.train()
    return losses / sequences


def learning_rate(config: TrainingConfig, step: int) -> float:
    """The learning rate of a step, counted from 0: a linear rise to the peak, then the schedule.

    The rise begins above 0, so that no step is wasted; the minimum is reached at the last step.
    """
    peak, least = config.learning_rate, config.min_learning_rate
    if step < config.warmup_steps:
        return peak * (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return peak
    done = min(1.0, (step - config.warmup_steps) / max(1, config.max_steps - 1 - config.warmup_steps))
    left = 1 - done if config.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return least + left * (peak - least)


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices, embeddings included, decay; biases and layer norms do not."""
    trained = [each for each in model.parameters() if each.requires_grad]
    return [
        {"params": [each for each in trained if each.ndim >= 2], "weight_decay": weight_decay},
        {"params": [each for each in trained if each.ndim < 2], "weight_decay": 0.0},
    ]


def arguments(config: TrainingConfig, device: torch.device, output_dir: Path) -> TrainingArguments:
    """The Trainer's settings, for what it does itself: loop, accumulation, clipping, autocast."""
    result = TrainingArguments(
        output_dir=str(output_dir),
        max_steps=config.max_steps,
        per_device_train_batch_size=1,  # an item of the dataset is a whole batch
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        max_grad_norm=config.max_grad_norm,
        bf16=config.precision == "bf16",
        gradient_checkpointing=config.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        use_cpu=device.type == "cpu",
        seed=config.seed,
        dataloader_pin_memory=device.type == "cuda",
        remove_unused_columns=False,
        logging_nan_inf_filter=False,  # would wait for the device at every step, and hide what it finds
        logging_strategy="no",
        eval_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    result._n_gpu = min(result.n_gpu, 1)  # or it would split a batch over all GPUs with DataParallel
    return result


class GPT2Trainer(Trainer):  # type: ignore[misc]  # transformers gives its Trainer no types
    """The Trainer, with our loss, optimizer, schedule, and batches in the order of their numbers."""

    def __init__(
        self,
        config: TrainingConfig,
        model: GPT2LMHeadModel,
        args: TrainingArguments,
        batches: data.TrainingBatches,
        run: TrainerCallback,
    ) -> None:
        super().__init__(model, args, data_collator=lambda items: items[0], train_dataset=batches, callbacks=[run])
        self.config = config
        self.losses: list[torch.Tensor] = []
        """Of every pass since they were last cleared, still on the device."""
        self.remove_callback(PrinterCallback)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Mapping[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> torch.Tensor:
        """The mean over the batch; the Trainer divides it by the passes of a step."""
        loss = token_loss(model, inputs)
        self.losses.append(loss.detach())
        return loss

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW as one kernel."""
        betas = (self.config.adam_beta1, self.config.adam_beta2)
        groups = parameter_groups(model or self.model, self.config.weight_decay)
        self.optimizer = torch.optim.AdamW(
            groups, lr=self.config.learning_rate, betas=betas, eps=self.config.adam_epsilon, fused=True
        )
        return self.optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LambdaLR:
        """:func:`learning_rate`, as PyTorch wants it: a factor of the peak."""
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer or self.optimizer, lambda step: learning_rate(self.config, step) / self.config.learning_rate
        )
        return self.lr_scheduler

    def _get_train_sampler(self, train_dataset: Any = None) -> Iterator[int]:
        """Batches shuffle by themselves."""
        return torch.utils.data.SequentialSampler(self.train_dataset)  # type: ignore[return-value]

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: it would walk through all parameters at every pass."""
        return 0
