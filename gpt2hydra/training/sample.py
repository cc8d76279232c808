"""Samples of the model in training."""

from __future__ import annotations

from pathlib import Path

from lightning_fabric import Fabric
from transformers import GPT2LMHeadModel

from gpt2hydra.checkpoint import model_files
from gpt2hydra.config.run import GenerateConfig, TrainConfig
from gpt2hydra.data.text import sizes
from gpt2hydra.data.tokenizer import Tokenizer
from gpt2hydra.inference.sampling import Sample, generate_batch
from gpt2hydra.training.progress import Progress
from gpt2hydra.training.tracker import SafeLogger


class Sampler:
    """Lets the model write, in the first process."""

    def __init__(
        self,
        config: TrainConfig,
        fabric: Fabric,
        tokenizer: Tokenizer,
        model: GPT2LMHeadModel,
        progress: Progress,
        logger: SafeLogger,
    ) -> None:
        self.config, self.fabric, self.tokenizer, self.model = config, fabric, tokenizer, model
        self.progress, self.logger = progress, logger

    def print_if_due(self, step: int, last_checkpoint: Path | None) -> None:
        """At an evaluation, if a multiple of ``sample_interval`` was passed since the evaluation before."""
        settings = self.config.training
        interval, before = settings.sample_interval, max(0, step - settings.eval_interval)
        if not interval or step >= settings.max_steps or step // interval == before // interval:
            return
        drawn = self.sample(last_checkpoint)
        if drawn is not None:
            self.progress.print(f"\n{format_sample(drawn, f' at step {step:,}')}\n")
            self.logger.sample(step, drawn.text)

    def sample(self, last_checkpoint: Path | None) -> Sample | None:
        """A text of ``sample_tokens``; None in all processes but the first.

        Under FSDP no process has the complete model: the last checkpoint writes, and before the first one
        nothing does.
        """
        if not self.fabric.is_global_zero or not self.config.training.sample_tokens:
            return None
        if self.config.training.strategy != "fsdp":
            return sample(self.config, self.tokenizer, self.model)
        if last_checkpoint is None:
            return None
        return sample(self.config, self.tokenizer, model_files.load(str(last_checkpoint))[0])


def sample(config: TrainConfig, tokenizer: Tokenizer, model: GPT2LMHeadModel) -> Sample:
    """``sample_tokens`` tokens as between two documents, or where there is one only, as on a new line.

    Args:
        model: not sharded. It trains again afterwards.
    """
    end, alone = tokenizer.end_of_text, config.data.path is not None and len(sizes(config.data.path)) == 1
    start = tokenizer.encode("\n") if alone or end is None else [end]
    model.train(False)
    training = config.training
    settings = GenerateConfig(checkpoint="", max_new_tokens=training.sample_tokens, seed=training.seed)
    result = Sample(start, settings, tokenizer, frozenset() if end is None else frozenset([end]))
    generate_batch(model, [result])
    model.train()
    return result


def format_sample(result: Sample, after: str = "") -> str:
    """The text below a line that says what it is: ``A sample at step 100, 200 tokens:``."""
    ended = ", where the model ended it" if result.finish == "end_of_text" else ""
    return f"A sample{after}, {result.tokens:,} token{'s' * (result.tokens != 1)}{ended}:\n{result.text}"
