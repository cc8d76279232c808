"""Checkpoints: Hugging Face folders that appear whole or not at all, and are read without trusting them.

Standard library only until weights are read or written.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpt2hydra import __version__
from gpt2hydra.config import GPT2Config
from gpt2hydra.huggingface import LARGEST_CONFIG, from_hf, read_json, to_hf
from gpt2hydra.rules import ConfigError, Violation, show
from gpt2hydra.run_config import GenerateConfig, TrainConfig
from gpt2hydra.tokenizer import Tokenizer, from_folder

if TYPE_CHECKING:
    import torch
    from transformers import GPT2Config as HFConfig
    from transformers import GPT2LMHeadModel

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
LARGEST_INDEX = 100_000_000
"""Bytes of an index or of the header of a weights file."""

# -------------------------------------------------------------------------------------------------------------- writing


def save(model: GPT2LMHeadModel, tokenizer: Tokenizer, config: TrainConfig, step: int, folder: Path) -> None:
    """Write ``folder``, in place of what may lie there: config, weights, tokenizer, and ``gpt2hydra.json`` (the run)."""
    from safetensors.torch import save_file

    tied = "lm_head.weight"  # the token embedding; readers tie it again
    weights = {name: each.detach().contiguous() for name, each in model.state_dict().items() if name != tied}
    end_of_text = tokenizer.end_of_text
    with _appears(folder) as unfinished:
        save_file(weights, unfinished / WEIGHTS, metadata={"format": "pt"})
        _write_json(unfinished / "config.json", to_hf(config.model, end_of_text))
        _write_json(unfinished / "generation_config.json", {"bos_token_id": end_of_text, "eos_token_id": end_of_text})
        _write_json(unfinished / "gpt2hydra.json", {"version": __version__, "step": step, "config": config.to_dict()})
        tokenizer.save(unfinished, config.model.n_positions)


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


@contextmanager
def _appears(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the name ``folder`` once all of it has reached the disk; nothing stays if not."""
    unfinished, former = (folder.with_name(f".{folder.name}-{what}-{os.getpid()}") for what in ("unfinished", "former"))
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        for path in (*unfinished.iterdir(), unfinished):
            _flush(path)
        if folder.exists():
            folder.rename(former)
        unfinished.rename(folder)
        _flush(folder.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)


def _flush(path: Path) -> None:
    """``fsync`` of a file or a folder."""
    if os.name != "posix" and path.is_dir():  # elsewhere folders cannot be opened
        return
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# -------------------------------------------------------------------------------------------------------------- reading


def runtime_config(config: GPT2Config, end_of_text: int | None = None, attention: str = "sdpa") -> HFConfig:
    """What transformers builds the model from: :func:`to_hf`, with GPT-2's activation as PyTorch's single kernel."""
    from transformers import GPT2Config as HFConfig

    settings = to_hf(config, end_of_text) | {"activation_function": "gelu_pytorch_tanh", "use_cache": False}
    return HFConfig(**settings, attn_implementation=attention)


def locate(path: str) -> Path:
    """The Hugging Face folder that ``path`` means: itself, or the ``checkpoint`` inside a run directory."""
    folder = Path(path).expanduser()
    inside = folder / "checkpoint"
    return inside if not (folder / "config.json").exists() and inside.is_dir() else folder


def load(path: str, device: torch.device | str = "cpu") -> tuple[GPT2LMHeadModel, Tokenizer]:
    """The model, in fp32 and ready to generate, and the tokenizer, from a folder alone.

    Raises:
        ConfigError: config, weights or tokenizer are missing, damaged, or none of ours.
    """
    import torch
    from transformers import GPT2LMHeadModel

    folder = locate(path)
    model_config = from_hf(folder)
    try:
        model, report = GPT2LMHeadModel.from_pretrained(
            None,
            config=runtime_config(model_config),
            state_dict=_weights(folder),
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError([_violation(path, f"has weights that cannot be read: {str(error).splitlines()[0]}")]) from None
    absent = sorted(set(report["missing_keys"]) - {"lm_head.weight"})
    if absent:
        raise ConfigError([_violation(path, f"lacks {len(absent):,} weights of its own config, {absent[0]} the first")])
    return model.eval().to(device), from_folder(folder)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    weights: dict[str, torch.Tensor] = {}
    for file in weight_files(folder):
        weights.update(load_file(file))
    return weights


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder; none if there are none.

    Raises:
        ConfigError: the index of a sharded checkpoint is damaged, or names anything but files beside it.
    """
    if (folder / WEIGHTS).is_file() or not (folder / INDEX).is_file():
        return [folder / WEIGHTS] * (folder / WEIGHTS).is_file()
    shards = read_json(folder / INDEX, LARGEST_INDEX).get("weight_map")
    if not isinstance(shards, dict) or not shards or any(not _is_shard(name) for name in shards.values()):
        raise ConfigError([Violation(str(folder / INDEX), rule="must map weights to .safetensors files beside it")])
    return [folder / name for name in sorted(set(shards.values()))]


def _is_shard(name: object) -> bool:
    return isinstance(name, str) and name.endswith(".safetensors") and Path(name).name == name


# ---------------------------------------------------------------------------------------------------- what can be wrong


def problems(config: GenerateConfig) -> list[Violation]:
    """Everything about a checkpoint that a look at the disk can refuse, without opening the weights themselves."""
    path, folder = config.checkpoint, locate(config.checkpoint)
    if not folder.is_dir():
        rule = "is a file; must be a run directory or a Hugging Face folder" if folder.exists() else "there is no such folder"
        return [_violation(path, rule, _newest_run())]
    if not (folder / "config.json").is_file():
        run = (folder / ".hydra").is_dir() or (folder / "loss.csv").is_file()
        why = "the run saved none: it does so at each evaluation" if run else "there is no config.json"
        return [_violation(path, f"holds no checkpoint; {why}", _newest_run())]
    try:
        from_hf(folder)
        return _weight_problems(path, folder) or _tokenizer_problems(path, folder)
    except ConfigError as error:
        return [_violation(path, _in_words(violation)) for violation in error.violations]


def _violation(path: str, rule: str, suggestion: str = "") -> Violation:
    return Violation("checkpoint", path, rule, suggestion=suggestion)


def _in_words(violation: Violation) -> str:
    """A violation inside a checkpoint, in one line."""
    return "holds what cannot be used: " + str(Violation(violation.key, violation.value, violation.rule)).replace("\n ", "")


def _newest_run() -> str:
    """An override that names the newest checkpoint below ``outputs/``, if there is one."""
    found = [file for file in Path().glob("outputs/*/*/checkpoint/config.json") if file.is_file()]
    return f"checkpoint={max(found, key=lambda file: file.stat().st_mtime).parent.parent}" if found else ""


def _weight_problems(path: str, folder: Path) -> list[Violation]:
    files = weight_files(folder)
    if not files:
        pickled = sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in folder.glob(pattern))
        if not pickled:
            return [_violation(path, f"must hold {WEIGHTS}; there are no weights")]
        rule = f"must hold {WEIGHTS}; {pickled[0]} is a pickle, which can run code when it is opened, and stays closed"
        return [_violation(path, rule)]
    damaged = [(file.name, why) for file in files if (why := _damage(file))]
    return [_violation(path, f"{name} {why}") for name, why in damaged]


def _damage(file: Path) -> str:
    """Why a safetensors file cannot be whole: 8 bytes of header length, the header in JSON, then the tensors."""
    if not file.is_file():
        return "is missing"
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, LARGEST_INDEX):
            return "is damaged: it is no safetensors file, or cut short"
        try:
            header = json.loads(stream.read(length))
            end = max(each["data_offsets"][1] for name, each in header.items() if name != "__metadata__")
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return "is damaged: its header cannot be read"
    return "" if size == 8 + length + end else f"is damaged: it has {size:,} bytes, its header says {show(8 + length + end)}"


def _tokenizer_problems(path: str, folder: Path) -> list[Violation]:
    whole = (folder / "tokenizer.json").is_file()
    if whole or all((folder / name).is_file() for name in ("vocab.json", "merges.txt")):
        return []
    return [_violation(path, "has no tokenizer: must hold tokenizer.json, or vocab.json and merges.txt")]


def end_of_text(folder: Path, tokenizer: Tokenizer) -> frozenset[int]:
    """The tokens that end a text: what config.json says, and the tokenizer's own."""
    said = read_json(folder / "config.json", LARGEST_CONFIG).get("eos_token_id")
    listed = said if isinstance(said, list) else [said]
    return frozenset(token for token in (*listed, tokenizer.end_of_text) if isinstance(token, int))
