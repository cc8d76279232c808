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

from gpt2hydra.checkpoint import tensors as weights
from gpt2hydra.checkpoint.huggingface import LARGEST_CONFIG, from_hf, to_hf
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.fingerprint import fingerprints
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.run import GenerateConfig, TrainConfig
from gpt2hydra.config.strict_json import read_json
from gpt2hydra.data.tokenizer import FILES, WHOLE, Tokenizer, from_folder, read_whole
from gpt2hydra.version import __version__

if TYPE_CHECKING:
    import torch
    from transformers import GPT2Config as HFConfig
    from transformers import GPT2LMHeadModel

# -------------------------------------------------------------------------------------------------------------- writing


def save(model: GPT2LMHeadModel, tokenizer: Tokenizer, config: TrainConfig, step: int, folder: Path) -> None:
    """Write ``folder``, in place of what may lie there: config, weights, tokenizer, and ``gpt2hydra.json`` (the run)."""
    from safetensors.torch import save_file

    tied = "lm_head.weight"  # the token embedding; readers tie it again
    tensors = {name: each.detach().contiguous() for name, each in model.state_dict().items() if name != tied}
    end_of_text = tokenizer.end_of_text
    with appears(folder) as unfinished:
        _write_json(unfinished / "config.json", to_hf(config.model, end_of_text))
        _write_json(unfinished / "generation_config.json", {"bos_token_id": end_of_text, "eos_token_id": end_of_text})
        run = {"version": __version__, "step": step, "config": config.to_dict(), "fingerprints": fingerprints(config)}
        _write_json(unfinished / "gpt2hydra.json", run)
        tokenizer.save(unfinished, config.model.n_positions)
        save_file(tensors, unfinished / weights.FILE, metadata={"format": "pt"})
        # safetensors lets nobody but the owner read it, whatever the umask says
        (unfinished / weights.FILE).chmod((unfinished / "config.json").stat().st_mode)


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


@contextmanager
def appears(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the name ``folder`` once all of it has reached the disk; nothing stays if not."""
    unfinished, former = (folder.with_name(f".{folder.name}-{what}") for what in ("unfinished", "former"))
    _recover(unfinished, former, folder)
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
        _recover(unfinished, former, folder)


def _recover(unfinished: Path, former: Path, folder: Path) -> None:
    """Undo a save that did not come to its end, here or in a process that was killed; tidy up after one that did."""
    shutil.rmtree(unfinished, ignore_errors=True)
    if former.exists() and not folder.exists():
        former.rename(folder)
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
    return HFConfig(**settings, attn_implementation=attention)  # type: ignore[call-arg]  # read from its **kwargs


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

    violations = _problems(path)
    if violations:
        raise ConfigError(violations)
    folder = locate(path)
    tokenizer, config = from_folder(folder), from_hf(folder)
    known = {f"transformer.{name}" for name in weights.shapes(config)}
    tensors = {name: each for name, each in _tensors(path, folder).items() if name in known}
    with _without_bars():
        model = GPT2LMHeadModel.from_pretrained(None, config=runtime_config(config), state_dict=tensors, dtype=torch.float32)
    return model.eval().to(device), tokenizer  # type: ignore[no-untyped-call]


def _tensors(path: str, folder: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    tensors: dict[str, torch.Tensor] = {}
    for file in weights.files(folder):
        try:
            loaded = load_file(file)
        except (OSError, SafetensorError) as error:
            raise ConfigError([_violation(path, f"{file.name} is damaged: {error}")]) from None
        tensors |= {f"transformer.{name}": each for key, each in loaded.items() if (name := weights.canonical(key))}
    return tensors


@contextmanager
def _without_bars() -> Iterator[None]:
    """Transformers draws a bar of the tensors it takes, terminal or not."""
    from transformers.utils import logging as untyped

    logging: Any = untyped
    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()


def end_of_text(folder: Path, tokenizer: Tokenizer) -> frozenset[int]:
    """The tokens that end a text: what config.json says, and the tokenizer's own."""
    said = read_json(folder / "config.json", LARGEST_CONFIG).get("eos_token_id")
    listed = said if isinstance(said, list) else [said]
    return frozenset(token for token in (*listed, tokenizer.end_of_text) if isinstance(token, int))


# ---------------------------------------------------------------------------------------------------- what can be wrong


def problems(config: GenerateConfig) -> list[Violation]:
    """Everything about a checkpoint that a look at the disk can refuse, without opening the weights themselves."""
    try:
        return _problems(config.checkpoint)
    except (OSError, RuntimeError) as error:  # no permission, a name that is too long, a home that is not there
        return [_violation(config.checkpoint, f"cannot be looked at: {getattr(error, 'strerror', None) or error}")]


def _problems(path: str) -> list[Violation]:
    folder = locate(path)
    if not folder.is_dir():
        rule = "is a file; must be a run directory or a Hugging Face folder" if folder.exists() else "there is no such folder"
        return [_violation(path, rule, _newest_run())]
    if not (folder / "config.json").is_file():
        run = (folder / ".hydra").is_dir() or (folder / "loss.csv").is_file()
        why = "the run saved none: it does so at each evaluation" if run else "there is no config.json"
        return [_violation(path, f"holds no checkpoint; {why}", _newest_run())]
    try:
        broken = weights.problems(folder, from_hf(folder))
        return [_violation(path, rule) for rule in broken] or _tokenizer_problems(path, folder)
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


def _tokenizer_problems(path: str, folder: Path) -> list[Violation]:
    if (folder / WHOLE).is_file():
        read_whole(folder)
    elif not all((folder / name).is_file() for name in FILES):
        return [_violation(path, f"has no tokenizer: must hold {WHOLE}, or {' and '.join(FILES)}")]
    return []
