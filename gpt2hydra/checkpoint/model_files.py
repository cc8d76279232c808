"""Read and write the files of a checkpoint: the model, and the state to continue training. Imports torch.

A checkpoint is a Hugging Face folder that appears completely or not at all. Its files are not trusted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers.utils
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import GPT2Config as HFConfig
from transformers import GPT2LMHeadModel

from gpt2hydra.checkpoint import run_checkpoints, weights
from gpt2hydra.checkpoint.atomic_directory import write_directory, write_json
from gpt2hydra.checkpoint.folder import check_checkpoint, find_checkpoint
from gpt2hydra.checkpoint.huggingface import from_hf, to_hf
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.fingerprint import fingerprints
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.data.tokenizer import Tokenizer, from_folder
from gpt2hydra.version import __version__

Tensors = dict[str, torch.Tensor]

# -------------------------------------------------------------------------------------------------------------- writing


OPTIMIZER_FILE, STATE_FILE = "optimizer.safetensors", "state.json"
"""The files of ``resume/``."""


def save(
    folder: Path,
    tensors: Mapping[str, torch.Tensor],
    tokenizer: Tokenizer,
    config: TrainConfig,
    step: int,
    *,
    validation_loss: float | None = None,
    optimizer: Mapping[str, torch.Tensor] | None = None,
    loop_state: Mapping[str, Any] | None = None,
) -> None:
    """Write a checkpoint, completely or not at all: a Hugging Face folder, ``gpt2hydra.json``, ``resume/``.

    Args:
        tensors: the weights, by their names in transformers' ``GPT2LMHeadModel``.
        optimizer: AdamW's tensors, by name; without them the run cannot continue.
        loop_state: JSON values of the training loop, for the next row of ``loss.csv``.
    """
    end_of_text = tokenizer.end_of_text
    run = {
        "version": __version__,
        "step": step,
        "validation_loss": validation_loss,
        "config": config.to_dict(),
        "fingerprints": fingerprints(config),
    }
    with write_directory(folder) as unfinished:
        write_json(unfinished / "config.json", to_hf(config.model, end_of_text))
        write_json(unfinished / "generation_config.json", {"bos_token_id": end_of_text, "eos_token_id": end_of_text})
        write_json(unfinished / run_checkpoints.RUN_JSON, run)
        tokenizer.save(unfinished, config.model.n_positions)
        _save_tensors({name: each for name, each in tensors.items() if name != weights.HEAD}, unfinished / weights.MODEL_FILE)
        if optimizer is not None:
            (unfinished / run_checkpoints.RESUME_DIR).mkdir()
            _save_tensors(optimizer, unfinished / run_checkpoints.RESUME_DIR / OPTIMIZER_FILE)
            write_json(unfinished / run_checkpoints.RESUME_DIR / STATE_FILE, dict(loop_state or {}))


def _save_tensors(tensors: Mapping[str, torch.Tensor], file: Path) -> None:
    save_file({name: each.detach().contiguous() for name, each in tensors.items()}, file, metadata={"format": "pt"})
    # safetensors makes the file readable only for its owner, whatever the umask
    file.chmod(file.parent.stat().st_mode & 0o666)


# -------------------------------------------------------------------------------------------------------------- reading


def runtime_config(config: GPT2Config, end_of_text: int | None = None, attention: str = "sdpa") -> HFConfig:
    """The transformers config of the model: :func:`to_hf`, with GPT-2's activation as one kernel."""
    settings = to_hf(config, end_of_text) | {"activation_function": "gelu_pytorch_tanh", "use_cache": False}
    return HFConfig(**settings, attn_implementation=attention)  # type: ignore[call-arg]  # HFConfig takes it from **kwargs


def load_model(path: str, device: torch.device | str = "cpu") -> tuple[GPT2LMHeadModel, Tokenizer]:
    """The model, in fp32 and ready to generate, and the tokenizer of a folder.

    Raises:
        ConfigError: config, weights or tokenizer are missing, damaged, or not those of a GPT-2.
    """
    violations = check_checkpoint(path)
    if violations:
        raise ConfigError(violations)
    folder = find_checkpoint(path)
    tokenizer, config = from_folder(folder), from_hf(folder)
    tensors = read_weights(folder, path)
    with _without_progress_bars():
        model = GPT2LMHeadModel.from_pretrained(None, config=runtime_config(config), state_dict=tensors, dtype=torch.float32)
    return model.eval().to(device), tokenizer  # type: ignore[no-untyped-call]


def read_weights(folder: Path, path: str | None = None) -> Tensors:
    """The weights of a folder, by name in transformers' ``GPT2LMHeadModel``, without the tied output layer.

    Args:
        path: the name of the folder in error messages.

    Raises:
        ConfigError: they are damaged.
    """
    tensors: Tensors = {}
    for file in weights.find_weight_files(folder):
        tensors |= _read_tensors(file, "checkpoint", path or str(folder))
    named = {name: each for key, each in tensors.items() if (name := weights.canonical_name(key))}
    return {f"transformer.{name}": named[name] for name in weights.tensor_shapes(from_hf(folder))}


def read_training_state(folder: Path) -> dict[str, Any]:
    """The training state of a checkpoint: ``model`` and ``optimizer``, tensors by name; ``loop``, JSON.

    Raises:
        ConfigError: it is damaged.
    """
    resume = folder / run_checkpoints.RESUME_DIR
    loop = json.loads((resume / STATE_FILE).read_text(encoding="utf-8"))
    model, optimizer = (
        _read_tensors(file, "resume", str(file.parent)) for file in (folder / weights.MODEL_FILE, resume / OPTIMIZER_FILE)
    )
    return {"model": model, "optimizer": optimizer, "loop": loop}


def _read_tensors(file: Path, key: str, value: str) -> Tensors:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise ConfigError([Violation(key, value, f"{file.name} is damaged: {error}")]) from None


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Context manager: no progress bar of transformers, which it draws even without a terminal."""
    logging: Any = transformers.utils.logging
    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()
