"""TrainConfig and GenerateConfig: everything that training or inference needs. Standard library only.

Each field states its meaning, unit and bounds; messages, help and the Hydra schema derive from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

from gpt2hydra.config.fields import choice, flag, integer, number, text
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.sections import section
from gpt2hydra.config.training import DEVICES as DEVICES
from gpt2hydra.config.training import MAX_BATCH_SIZE as MAX_BATCH_SIZE
from gpt2hydra.config.training import PRECISIONS as PRECISIONS
from gpt2hydra.config.training import STRATEGIES as STRATEGIES
from gpt2hydra.config.training import TRACKERS as TRACKERS
from gpt2hydra.config.training import TrainingConfig as TrainingConfig
from gpt2hydra.config.validation import Checked
from gpt2hydra.config.validators import Failure, validator
from gpt2hydra.utils.quoting import Placeholder

BYTES_END_OF_TEXT = 256
"""The end-of-text token of the byte tokenizer; each other token is the value of a byte."""

VOCABULARY_SIZES = {"bytes": BYTES_END_OF_TEXT + 1, "gpt2": 50257}
"""Tokenizer → number of its tokens; gpt2: those of OpenAI's vocab.json."""

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
        "shuffled: each epoch visits every window once; random: windows at random offsets, as in nanoGPT",
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

    name: str = choice("bytes", "bytes: UTF-8 and end-of-text; gpt2: OpenAI's byte-pair encoding", tuple(VOCABULARY_SIZES))
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
class HardwareConfig(Checked):
    """The device that the plan assumes. Values that are null are read from this machine, if possible."""

    name: str = text("this machine", "its name in the plan")
    devices: Optional[int] = integer(
        None, "devices that share a step; null: the number of processes of torchrun", at_most=100_000, optional=True
    )
    memory_gb: Optional[float] = number(
        None, "memory that PyTorch sees, in GB of 10^9 bytes", above=0, at_most=1e6, optional=True
    )
    reserve_gb: Optional[float] = number(
        None,
        "memory that is not for tensors, in GB; null: 0.6 GB and 3 % of a GPU, 0.5 GB of a CPU machine",
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


def check_seq_len(key: str, seq_len: int, n_positions: int) -> Failure | None:
    """A failure if ``seq_len``, the value under ``key``, exceeds the model's positions; otherwise None."""
    return None if seq_len <= n_positions else Failure("must be ≤ {model.n_positions}", {key: n_positions})


@dataclass(frozen=True)
class TrainConfig(Checked):
    """Everything that ``python train.py`` needs."""

    model: GPT2Config = section(GPT2Config, "the shape: conf/model/")
    data: DataConfig = section(DataConfig, "the text")
    tokenizer: TokenizerConfig = section(TokenizerConfig, "how text becomes tokens: conf/tokenizer/")
    training: TrainingConfig = section(TrainingConfig, "how to train")
    hardware: HardwareConfig = section(HardwareConfig, "the device that the plan assumes: conf/hardware/", affects_result=False)
    init_from: Optional[str] = text(
        None,
        "fine-tune the weights of a run or of a Hugging Face folder of a GPT-2; its shape and tokenizer are used",
        optional=True,
    )
    fork_from: Optional[str] = text(
        None,
        "start a new run with the configuration, weights, optimizer and step of a run or checkpoint; "
        "all but the model's shape and the tokenizer may be changed",
        optional=True,
    )
    resume: Optional[str] = text(
        None,
        "directory of the run to continue; auto: the newest run of the same fingerprint, or a new one",
        optional=True,
        affects_result=False,
    )
    dry_run: bool = flag(False, "validate, print the plan, start nothing", affects_result=False)
    preflight: str = choice(
        "strict",
        "a sweep with invalid points: strict refuses it, skip_invalid leaves them out, off checks no point in advance",
        PREFLIGHTS,
        affects_result=False,
    )

    HELP_SUMMARY: ClassVar[tuple[str, ...]] = (
        *("data.path", "model.n_layer", "model.n_head", "model.n_embd", "training.seq_len", "training.batch_size"),
        *("training.max_steps", "training.learning_rate", "training.device", "training.seed"),
    )

    @validator("fork_from")
    def _begins_in_one_way(self) -> Failure | None:
        if self.fork_from is None or self.init_from is None:
            return None
        return Failure("must be null with {init_from}: a run begins with the weights of one folder", {"fork_from": None})

    @validator("training.seq_len")
    def _sequence_fits(self) -> Failure | None:
        return check_seq_len("training.seq_len", self.training.seq_len, self.model.n_positions)

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
        needed = VOCABULARY_SIZES[self.tokenizer.name]
        if self.model.vocab_size >= needed:
            return None
        return Failure(f"must be ≥ {needed:,}, the symbols of {{tokenizer.name}}", {"model.vocab_size": needed})


@dataclass(frozen=True)
class GenerateConfig(Checked):
    """Everything that ``python generate.py`` needs."""

    checkpoint: str = text(doc="run directory, or any Hugging Face folder of a GPT-2 with safetensors")
    prompt: str = text("", "text to continue; empty: start from end-of-text", literal=True)
    prompt_file: Optional[str] = text(None, "file with a prompt on each line, instead of prompt", optional=True)
    max_new_tokens: int = integer(200, "tokens to generate", at_most=10_000_000)
    num_samples: int = integer(1, "continuations of each prompt", at_most=100_000)
    temperature: float = number(0.8, "higher is more random; 0 always takes the likeliest token", at_least=0, at_most=100)
    top_k: Optional[int] = integer(50, "sample from the k likeliest tokens; null is off", at_most=10_000_000, optional=True)
    top_p: Optional[float] = number(
        None,
        "sample from the likeliest tokens that together have this probability; null is off",
        above=0,
        at_most=1,
        optional=True,
    )
    min_p: Optional[float] = number(
        None,
        "sample from tokens with at least this share of the highest probability; null is off",
        above=0,
        at_most=1,
        optional=True,
    )
    repetition_penalty: float = number(
        1.0, "above 1, tokens that appeared before are less likely; 1 is off", at_least=1, at_most=10
    )
    stop: Optional[str] = text(None, "text that ends a sample; several are separated by |", optional=True, literal=True)
    format: str = choice("text", "text, or json: one object per line for each sample", ("text", "json"))
    seed: int = integer(
        1337, "seed of the first sample; the next samples use seed + 1, seed + 2, ...", at_least=0, at_most=2**32 - 1
    )
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
