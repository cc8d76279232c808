"""TrainConfig and GenerateConfig: everything that training or inference needs. Standard library only.

Each field says what it is, its unit and its bounds; messages, help and the Hydra schema derive from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

from gpt2hydra.config.fields import choice, flag, integer, number, text
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.sections import section
from gpt2hydra.config.validation import Checked
from gpt2hydra.config.validators import Failure, validator
from gpt2hydra.utils.quoting import Placeholder

BYTES_END_OF_TEXT = 256
"""End-of-text of the byte tokenizer; its other tokens are the values of the bytes."""

VOCABULARIES = {"bytes": BYTES_END_OF_TEXT + 1, "gpt2": 50257}
"""Tokenizer → its symbols; gpt2: those of OpenAI's vocab.json."""

LARGEST_BATCH = 1_000_000
"""Sequences. More at once are a mistake, not a setting."""

PRECISIONS = ("fp32", "bf16", "bf16_pure")
DEVICES = ("auto", "cpu", "cuda", "mps")
STRATEGIES = ("auto", "ddp", "fsdp")
TRACKERS = ("none", "tensorboard", "wandb", "mlflow")
PREFLIGHTS = ("strict", "skip_invalid", "off")

# ------------------------------------------------------------------------------------------------------- the sections


@dataclass(frozen=True)
class DataConfig(Checked):
    """The text to train on."""

    path: Optional[str] = text(
        None, "file or glob: UTF-8, .parquet, or tokens in .bin; null: Python's language reference", optional=True
    )
    validation_path: Optional[str] = text(None, "text to evaluate on, as path; null: validation_fraction", optional=True)
    validation_fraction: float = number(0.1, "share kept for evaluation: the end of each file", above=0, at_most=0.5)
    order: str = choice(
        "shuffled",
        "shuffled: each epoch visits every window once; random: windows anywhere, as nanoGPT's",
        ("shuffled", "random"),
    )
    cache_dir: Optional[str] = text(
        None,
        "where a large text is kept as tokens; null: gpt2hydra in the user's cache folder",
        optional=True,
        affects_result=False,
    )


@dataclass(frozen=True)
class TokenizerConfig(Checked):
    """How text becomes tokens."""

    name: str = choice("bytes", "bytes: UTF-8 and end-of-text; gpt2: OpenAI's byte-pair encoding", tuple(VOCABULARIES))
    path: Optional[str] = text(
        None, "gpt2 only: folder with vocab.json and merges.txt, or a name on the Hugging Face hub", optional=True
    )

    @validator("path")
    def _bpe_needs_files(self) -> Failure | None:
        if self.name == "gpt2" and self.path is None:
            rule = "must be given for {name}: a folder with vocab.json and merges.txt, or a hub name"
            return Failure(rule, {"path": Placeholder("FOLDER")})
        if self.name == "bytes" and self.path is not None:
            return Failure("must be null for {name}, which reads no files", {"path": None})
        return None


@dataclass(frozen=True)
class TrainingConfig(Checked):
    """How the model is trained: AdamW, learning-rate warm-up, then a schedule."""

    seq_len: int = integer(1024, "tokens of one sequence", at_most=10_000_000)
    batch_size: int = integer(4, "sequences of one forward and backward pass", at_most=LARGEST_BATCH)
    gradient_accumulation_steps: int = integer(1, "passes whose gradients add up to one step", at_most=1_000_000)
    max_steps: int = integer(1000, "optimizer steps", at_most=1_000_000_000)
    learning_rate: float = number(6e-4, "peak learning rate, reached after the warm-up", above=0, at_most=10)
    min_learning_rate_ratio: float = number(
        0.1, "learning rate at the last step, as a share of the peak; constant never falls", at_least=0, at_most=1
    )
    schedule: str = choice("cosine", "the fall from the peak to the minimum", ("cosine", "linear", "constant"))
    warmup_steps: int = integer(100, "steps of the rise from 0 to the peak", at_least=0, at_most=1_000_000_000)
    weight_decay: float = number(0.1, "decoupled weight decay, on matrices only", at_least=0, at_most=10)
    adam_beta1: float = number(0.9, "decay of the gradient's running mean", at_least=0, at_most=0.999999)
    adam_beta2: float = number(0.95, "decay of the squared gradient's running mean", at_least=0, at_most=0.999999)
    adam_epsilon: float = number(1e-8, "added to AdamW's denominator", above=0, at_most=1)
    max_grad_norm: float = number(1.0, "larger gradients are scaled down to this norm; 0 is off", at_least=0, at_most=1e6)
    precision: str = choice("fp32", "bf16: autocast, weights stay fp32; bf16_pure: weights and AdamW too", PRECISIONS)
    attention: str = choice("sdpa", "sdpa: PyTorch's fused kernels; eager: plain matrix products", ("sdpa", "eager"))
    gradient_checkpointing: bool = flag(
        False, "recompute each block in the backward pass: less memory, more time", affects_result=False
    )
    eval_interval: int = integer(100, "steps between two evaluations", at_most=1_000_000_000, affects_result=False)
    eval_sequences: int = integer(
        100,
        "sequences of one evaluation, spread over the validation text; at the end all of it is measured, or of a huge one "
        "as many tokens as the run trained on",
        at_most=10**9,
    )
    log_interval: int = integer(10, "steps between two rows of the loss table", at_most=1_000_000_000, affects_result=False)
    keep_checkpoints: int = integer(
        2, "last checkpoints that stay, and the best; one is saved at each evaluation", at_most=10**6, affects_result=False
    )
    sample_tokens: int = integer(
        200, "tokens of the sample printed at the end", at_least=0, at_most=100_000, affects_result=False
    )
    sample_interval: int = integer(
        0, "steps between two more samples, at evaluations; 0 is none", at_least=0, at_most=10**9, affects_result=False
    )
    tracker: str = choice("none", "where losses, samples and configuration go too", TRACKERS, affects_result=False)
    seed: int = integer(1337, "seed of weights, batches and dropout", at_least=0, at_most=2**32 - 1)
    device: str = choice(
        "auto", "auto: an accelerator if there is one", DEVICES, synonyms={"gpu": "cuda"}, affects_result=False
    )
    strategy: str = choice(
        "auto",
        "of several processes. ddp: each has all weights (auto); fsdp: each has a shard",
        STRATEGIES,
        affects_result=False,
    )
    compile: str = choice("auto", "torch.compile; auto: on a GPU alone", ("auto", "true", "false"), affects_result=False)

    @validator("warmup_steps")
    def _warmup_ends(self) -> Failure | None:
        if self.warmup_steps <= self.max_steps:
            return None
        return Failure("must be ≤ {max_steps}", {"warmup_steps": self.max_steps // 10})

    @property
    def sequences_per_step(self) -> int:
        """Sequences whose gradients make one optimizer step, however many processes share them."""
        return self.batch_size * self.gradient_accumulation_steps

    @property
    def tokens_per_step(self) -> int:
        """Tokens of those sequences."""
        return self.sequences_per_step * self.seq_len


@dataclass(frozen=True)
class HardwareConfig(Checked):
    """The device that the plan reckons with; null figures are read from this machine where they can be."""

    name: str = text("this machine", "what the plan calls it")
    devices: Optional[int] = integer(
        None, "devices that share a step; null: as many as torchrun starts processes", at_most=100_000, optional=True
    )
    memory_gb: Optional[float] = number(
        None, "memory that PyTorch sees, in GB of 10^9 bytes", above=0, at_most=1e6, optional=True
    )
    reserve_gb: Optional[float] = number(
        None,
        "memory that no tensor may have; null: 0.6 GB and 3 % of a GPU, 0.5 GB and 23 % of a machine",
        at_least=0,
        at_most=1e6,
        optional=True,
    )
    fp32_tflops: Optional[float] = number(
        None, "peak of dense fp32 matrix products, 10^12 FLOP/s", above=0, at_most=1e6, optional=True
    )
    bf16_tflops: Optional[float] = number(
        None, "peak of dense bf16 matrix products, 10^12 FLOP/s", above=0, at_most=1e6, optional=True
    )
    utilization: float = number(0.4, "share of that peak that training is expected to reach", above=0, at_most=1)
    source: Optional[str] = text(None, "where the figures were published", optional=True)


# ------------------------------------------------------------------------------------------------- the two entry points


def longer_than_model(key: str, seq_len: int, n_positions: int) -> Failure | None:
    """The failure of a sequence, whose length stands under ``key``, that has more tokens than the model has positions."""
    return None if seq_len <= n_positions else Failure("must be ≤ {model.n_positions}", {key: n_positions})


@dataclass(frozen=True)
class TrainConfig(Checked):
    """Everything that ``python train.py`` needs."""

    model: GPT2Config = section(GPT2Config, "the shape: conf/model/")
    data: DataConfig = section(DataConfig, "the text")
    tokenizer: TokenizerConfig = section(TokenizerConfig, "how text becomes tokens: conf/tokenizer/")
    training: TrainingConfig = section(TrainingConfig, "how to train")
    hardware: HardwareConfig = section(HardwareConfig, "what the plan reckons with: conf/hardware/", affects_result=False)
    init_from: Optional[str] = text(
        None,
        "fine-tune: a run, or a Hugging Face folder of a GPT-2, whose weights, shape and tokenizer are taken",
        optional=True,
    )
    resume: Optional[str] = text(
        None,
        "directory of a run, which goes on; auto: the newest unfinished run of the same fingerprint, else a new one",
        optional=True,
        affects_result=False,
    )
    dry_run: bool = flag(False, "validate, print the plan, start nothing", affects_result=False)
    preflight: str = choice(
        "strict",
        "a sweep with invalid points: strict refuses it, skip_invalid leaves them out, off does not look",
        PREFLIGHTS,
        affects_result=False,
    )

    HELP_SUMMARY: ClassVar[tuple[str, ...]] = (
        *("data.path", "model.n_layer", "model.n_head", "model.n_embd", "training.seq_len", "training.batch_size"),
        *("training.max_steps", "training.learning_rate", "training.device", "training.seed"),
    )

    @validator("training.seq_len")
    def _sequence_fits(self) -> Failure | None:
        return longer_than_model("training.seq_len", self.training.seq_len, self.model.n_positions)

    @validator("hardware.devices")
    def _devices_divide_step(self) -> Failure | None:
        devices, sequences = self.hardware.devices, self.training.sequences_per_step
        if devices is None or sequences % devices == 0:
            return None
        shares = (each for each in range(1, min(sequences, 2 * devices) + 1) if sequences % each == 0)
        nearest = min(shares, key=lambda each: abs(each - devices))
        return Failure(f"must divide the {sequences:,} sequences of a step", {"hardware.devices": nearest})

    @validator("model.vocab_size")
    def _vocabulary_fits(self) -> Failure | None:
        needed = VOCABULARIES[self.tokenizer.name]
        if self.model.vocab_size >= needed:
            return None
        return Failure(f"must be ≥ {needed:,}, the symbols of {{tokenizer.name}}", {"model.vocab_size": needed})


@dataclass(frozen=True)
class GenerateConfig(Checked):
    """Everything that ``python generate.py`` needs."""

    checkpoint: str = text(doc="run directory, or any Hugging Face folder of a GPT-2 with safetensors")
    prompt: str = text("", "text to continue; empty: start from end-of-text", literal=True)
    prompt_file: Optional[str] = text(None, "file of prompts, one a line; instead of prompt", optional=True)
    max_new_tokens: int = integer(200, "tokens to generate", at_most=10_000_000)
    num_samples: int = integer(1, "continuations of each prompt", at_most=100_000)
    temperature: float = number(0.8, "higher is more random; 0 always takes the likeliest token", at_least=0, at_most=100)
    top_k: Optional[int] = integer(50, "sample from the k likeliest tokens; null is off", at_most=10_000_000, optional=True)
    top_p: Optional[float] = number(
        None, "sample from the likeliest tokens of this total probability; null is off", above=0, at_most=1, optional=True
    )
    min_p: Optional[float] = number(
        None,
        "sample from tokens at least this share as likely as the likeliest; null is off",
        above=0,
        at_most=1,
        optional=True,
    )
    repetition_penalty: float = number(1.0, "makes tokens that were there less likely; 1 is off", at_least=1, at_most=10)
    stop: Optional[str] = text(None, "text that ends a sample; several with | between them", optional=True, literal=True)
    format: str = choice("text", "text, or json: an object a line for each sample", ("text", "json"))
    seed: int = integer(1337, "seed of the first sample; the next ones have the next numbers", at_least=0, at_most=2**32 - 1)
    device: str = choice(
        "auto", "auto: an accelerator if there is one", DEVICES, synonyms={"gpu": "cuda"}, affects_result=False
    )
    dry_run: bool = flag(False, "validate, print what would run, start nothing", affects_result=False)
    preflight: str = choice("strict", "a sweep with invalid points: as in training", PREFLIGHTS, affects_result=False)

    HELP_SUMMARY: ClassVar[tuple[str, ...]] = (
        *("checkpoint", "prompt", "prompt_file", "max_new_tokens", "num_samples", "temperature", "top_k", "top_p", "stop"),
        "device",
    )

    @validator("prompt_file")
    def _one_source_of_prompts(self) -> Failure | None:
        if self.prompt_file is None or not self.prompt:
            return None
        return Failure("must be null with {prompt}", {"prompt_file": None})
