"""Checkpoints: Hugging Face folders that appear complete or not at all, and are read without trusting them.

Standard library only until weights are read or written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.checkpoint import tensors as weights
from gpt2hydra.checkpoint.atomic_directory import write_directory, write_json
from gpt2hydra.checkpoint.huggingface import LARGEST_CONFIG, from_hf, to_hf
from gpt2hydra.config.errors import ConfigError, Violation, unreadable
from gpt2hydra.config.fingerprint import fingerprints
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.run import GenerateConfig, TrainConfig
from gpt2hydra.config.strict_json import read_json
from gpt2hydra.data.text import similar
from gpt2hydra.data.tokenizer import Tokenizer, from_folder
from gpt2hydra.data.tokenizer_files import FILES, TOKENIZER_JSON, read_tokenizer_json
from gpt2hydra.utils.paths import user_path
from gpt2hydra.version import __version__

if TYPE_CHECKING:
    import torch
    from transformers import GPT2Config as HFConfig
    from transformers import GPT2LMHeadModel

# -------------------------------------------------------------------------------------------------------------- writing


OPTIMIZER, STATE = "optimizer.safetensors", "state.json"
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
        loop_state: what the next row of ``loss.csv`` needs of the steps before, in plain values.
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
        write_json(unfinished / run_checkpoints.RUN, run)
        tokenizer.save(unfinished, config.model.n_positions)
        _save_tensors({name: each for name, each in tensors.items() if name != weights.HEAD}, unfinished / weights.FILE)
        if optimizer is not None:
            (unfinished / run_checkpoints.RESUME).mkdir()
            _save_tensors(optimizer, unfinished / run_checkpoints.RESUME / OPTIMIZER)
            write_json(unfinished / run_checkpoints.RESUME / STATE, dict(loop_state or {}))


def _save_tensors(tensors: Mapping[str, torch.Tensor], file: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: each.detach().contiguous() for name, each in tensors.items()}, file, metadata={"format": "pt"})
    # safetensors lets nobody but the owner read it, whatever the umask says
    file.chmod(file.parent.stat().st_mode & 0o666)


# -------------------------------------------------------------------------------------------------------------- reading


def runtime_config(config: GPT2Config, end_of_text: int | None = None, attention: str = "sdpa") -> HFConfig:
    """What transformers builds the model from: :func:`to_hf`, but GPT-2's activation as one kernel."""
    from transformers import GPT2Config as HFConfig

    settings = to_hf(config, end_of_text) | {"activation_function": "gelu_pytorch_tanh", "use_cache": False}
    return HFConfig(**settings, attn_implementation=attention)  # type: ignore[call-arg]  # read from its **kwargs


def locate(path: str) -> Path:
    """The Hugging Face folder that ``path`` means: itself, or the best checkpoint inside a run directory."""
    best = _best(path)
    return best.folder if best else user_path(path)


def choice(path: str) -> str:
    """Which checkpoint of a run directory is taken, in words; empty where ``path`` names one itself."""
    best = _best(path)
    others = len(run_checkpoints.checkpoints(user_path(path))) if best else 0
    return f"the checkpoint of {best}, is the best of {others} in {path}" if others > 1 else ""


def _best(path: str) -> run_checkpoints.CheckpointInfo | None:
    """The best checkpoint of a run directory; None where ``path`` names a checkpoint itself, or neither."""
    folder = user_path(path)
    return None if (folder / "config.json").exists() else run_checkpoints.best(folder)


def load(path: str, device: torch.device | str = "cpu") -> tuple[GPT2LMHeadModel, Tokenizer]:
    """The model, in fp32 and ready to generate, and the tokenizer, from a folder alone.

    Raises:
        ConfigError: config, weights or tokenizer are missing, damaged, or not those of a GPT-2.
    """
    import torch
    from transformers import GPT2LMHeadModel

    violations = _check_folder(path)
    if violations:
        raise ConfigError(violations)
    folder = locate(path)
    tokenizer, config = from_folder(folder), from_hf(folder)
    tensors = read_weights(folder, path)
    with _without_bars():
        model = GPT2LMHeadModel.from_pretrained(None, config=runtime_config(config), state_dict=tensors, dtype=torch.float32)
    return model.eval().to(device), tokenizer  # type: ignore[no-untyped-call]


def read_weights(folder: Path, path: str | None = None) -> dict[str, torch.Tensor]:
    """The weights of a folder, by their names in transformers' ``GPT2LMHeadModel``, without output layer.

    Args:
        path: what a refusal calls the folder.

    Raises:
        ConfigError: they are damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    tensors: dict[str, torch.Tensor] = {}
    for file in weights.files(folder):
        try:
            tensors |= load_file(file)
        except (OSError, SafetensorError) as error:
            raise ConfigError([_violation(path or str(folder), f"{file.name} is damaged: {error}")]) from None
    named = {name: each for key, each in tensors.items() if (name := weights.canonical(key))}
    return {f"transformer.{name}": named[name] for name in weights.shapes(from_hf(folder))}


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
    found = read_json(folder / "config.json", LARGEST_CONFIG).get("eos_token_id")
    listed = found if isinstance(found, list) else [found]
    return frozenset(token for token in (*listed, tokenizer.end_of_text) if isinstance(token, int))


# ---------------------------------------------------------------------------------------------------- what can be wrong


def check_checkpoint(config: GenerateConfig) -> list[Violation]:
    """What a look at the disk can refuse of a checkpoint, without reading the weights."""
    try:
        return _check_folder(config.checkpoint)
    except OSError as error:
        return [unreadable("checkpoint", config.checkpoint, error)]


def _check_folder(path: str) -> list[Violation]:
    folder = locate(path)
    if not folder.is_dir():
        rule = "is a file; must be a run directory or a Hugging Face folder" if folder.exists() else "there is no such folder"
        near = similar(folder, lambda each: (locate(str(each)) / "config.json").is_file())
        return [_violation(path, rule, {"checkpoint": str(near)} if near else _newest_run())]
    if not (folder / "config.json").is_file():
        run = (folder / ".hydra").is_dir() or (folder / "loss.csv").is_file()
        why = "the run saved none: it does so at each evaluation" if run else "there is no config.json"
        return [_violation(path, f"holds no checkpoint; {why}", _newest_run())]
    try:
        broken = weights.mismatches(folder, from_hf(folder))
        return [_violation(path, rule) for rule in broken] or _tokenizer_problems(path, folder)
    except ConfigError as error:
        return [_violation(path, _in_words(violation)) for violation in error.violations]


def _violation(path: str, rule: str, remedy: Mapping[str, object] | None = None) -> Violation:
    return Violation("checkpoint", path, rule, remedy=remedy or {})


def _in_words(violation: Violation) -> str:
    """A violation inside a checkpoint, in one line."""
    return f"cannot be used: {violation.head} {violation.rule}"


def _newest_run() -> dict[str, object]:
    """A remedy that names the newest run below ``outputs/`` that has a checkpoint, if there is one."""
    found = [each for each in Path().glob(f"outputs/*/*/{run_checkpoints.FOLDER}/step-*/config.json") if each.is_file()]
    newest = max(found, key=lambda file: file.stat().st_mtime, default=None)
    return {} if newest is None else {"checkpoint": str(Path(*newest.parts[:3]))}


def _tokenizer_problems(path: str, folder: Path) -> list[Violation]:
    if (folder / TOKENIZER_JSON).is_file():
        read_tokenizer_json(folder)
    elif not all((folder / name).is_file() for name in FILES):
        return [_violation(path, f"has no tokenizer: must hold {TOKENIZER_JSON}, or {' and '.join(FILES)}")]
    return []
