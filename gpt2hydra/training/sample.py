"""Generate samples from the model in training."""

from __future__ import annotations

from pathlib import Path

from lightning_fabric import Fabric
from transformers import GPT2LMHeadModel

from gpt2hydra.checkpoint import model_files
from gpt2hydra.config.run import GenerateConfig, TrainConfig
from gpt2hydra.data.text import is_one_document
from gpt2hydra.data.tokenizer import Tokenizer
from gpt2hydra.inference.sampling import Sample, generate_batch
from gpt2hydra.training.progress import Progress
from gpt2hydra.training.tracker import SafeTracker


class Sampler:
    """Generates samples from the model, on rank 0."""

    def __init__(
        self,
        config: TrainConfig,
        fabric: Fabric,
        tokenizer: Tokenizer,
        model: GPT2LMHeadModel,
        progress: Progress,
        tracker: SafeTracker,
    ) -> None:
        self.config, self.fabric, self.tokenizer, self.model = config, fabric, tokenizer, model
        self.progress, self.tracker = progress, tracker

    def print_if_due(self, step: int, last_checkpoint: Path | None) -> None:
        """Print a sample if a multiple of ``sample_interval`` was passed since the previous evaluation."""
        settings = self.config.training
        interval, before = settings.sample_interval, max(0, step - settings.eval_interval)
        if not interval or step >= settings.max_steps or step // interval == before // interval:
            return
        sampled = self.sample(last_checkpoint)
        if sampled is not None:
            self.progress.print(f"\n{format_sample(sampled, f' at step {step:,}')}\n")
            self.tracker.log_sample(step, sampled.text)

    def sample(self, last_checkpoint: Path | None) -> Sample | None:
        """Generate ``sample_tokens`` tokens on rank 0; None on other ranks.

        Under FSDP no process has the complete model, so the last checkpoint is loaded. None if there is no
        checkpoint yet.
        """
        if not self.fabric.is_global_zero or not self.config.training.sample_tokens:
            return None
        if self.config.training.strategy != "fsdp":
            return generate_sample(self.config, self.tokenizer, self.model)
        if last_checkpoint is None:
            return None
        return generate_sample(self.config, self.tokenizer, model_files.load_model(str(last_checkpoint))[0])


def generate_sample(config: TrainConfig, tokenizer: Tokenizer, model: GPT2LMHeadModel) -> Sample:
    """Generate ``sample_tokens`` tokens after end-of-text, or after a newline if the text is one document.

    Args:
        model: not sharded. It is in training mode again afterwards.
    """
    end = tokenizer.end_of_text
    start = tokenizer.encode("\n") if is_one_document(config.data.path) or end is None else [end]
    model.train(False)
    training = config.training
    settings = GenerateConfig(checkpoint="", max_new_tokens=training.sample_tokens, seed=training.seed)
    result = Sample(start, settings, tokenizer, frozenset() if end is None else frozenset([end]))
    generate_batch(model, [result])
    model.train()
    return result


def format_sample(result: Sample, after: str = "") -> str:
    """Format a sample below a heading such as ``A sample at step 100, 200 tokens:``."""
    ended = ", where the model ended it" if result.finish == "end_of_text" else ""
    return f"A sample{after}, {result.tokens:,} token{'s' * (result.tokens != 1)}{ended}:\n{result.text}"
