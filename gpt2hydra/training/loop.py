"""What is computed: GPT-2 under transformers' Trainer, with our loss, optimizer, schedule and order of batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import GPT2LMHeadModel, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from gpt2hydra.checkpoint import folder as checkpoint
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.data import corpus as data


def build_model(config: GPT2Config, settings: TrainingConfig, end_of_text: int | None = None) -> GPT2LMHeadModel:
    """An untrained GPT-2: weights from N(0, 0.02), those of residual projections divided by sqrt(2 n_layer)."""
    model = GPT2LMHeadModel(checkpoint.runtime_config(config, end_of_text, settings.attention))
    if settings.gradient_checkpointing:  # transformers renamed it in the middle of its fifth major version
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    if settings.precision == "bf16_pure":
        torch.nn.Module.to(model, torch.bfloat16)
    return model


def token_loss(model: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The mean cross-entropy of ``targets`` (B, T) after ``inputs`` (B, T), in nats; a scalar, in fp32."""
    logits = model(input_ids=batch["inputs"], use_cache=False).logits  # (B, T, V)
    return cross_entropy(logits.flatten(0, 1).float(), batch["targets"].flatten())


@torch.no_grad()
def evaluate(model: GPT2LMHeadModel, batches: Iterable[Mapping[str, torch.Tensor]]) -> float:
    """The mean loss over all sequences of ``batches``, without dropout."""
    model.train(False)
    losses, sequences = 0.0, 0
    for batch in batches:
        on_device = {name: each.to(model.device) for name, each in batch.items()}
        losses += token_loss(model, on_device).item() * len(batch["inputs"])
        sequences += len(batch["inputs"])
    model.train()
    return losses / sequences


def learning_rate(config: TrainingConfig, step: int) -> float:
    """The learning rate of a step, counted from 0: a linear rise to the peak, then the schedule.

    The rise begins above 0, so that no step is wasted; the minimum is reached at the last step, if the warm-up leaves any.
    """
    peak, least = config.learning_rate, config.min_learning_rate_ratio * config.learning_rate
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


class GPT2Trainer(Trainer):
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
        self.config, self.built, self.batches = config, model, batches
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
        groups = parameter_groups(model or self.built, self.config.weight_decay)
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
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

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler[int]:
        """Batches shuffle by themselves."""
        return torch.utils.data.SequentialSampler(self.batches)

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: it would walk through all parameters at every pass."""
        return 0
