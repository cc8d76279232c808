"""``init_from=DIR``: fine-tuning takes shape and tokenizer from a folder. Standard library only.

They become overrides before those of the command line, so that a configuration, its record and its checks are
as if they had been typed. What the command line or a file says otherwise is kept, and refused where it
contradicts the folder.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from gpt2hydra.checkpoint import folder as checkpoint
from gpt2hydra.checkpoint.huggingface import from_hf
from gpt2hydra.composition.hydra_state import parse
from gpt2hydra.config.errors import ABSENT, ConfigError, Source, Violation, unreadable
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.keys import fields_of
from gpt2hydra.config.run import VOCABULARIES, TrainConfig
from gpt2hydra.data import tokenizer_files
from gpt2hydra.utils.paths import relative_path, user_path
from gpt2hydra.utils.quoting import override

KEY = "init_from"
DROPOUTS = ("resid_pdrop", "embd_pdrop", "attn_pdrop")
"""No part of the weights: fine-tuning may change them."""


def implied(overrides: Sequence[str]) -> dict[str, Source]:
    """What ``init_from=DIR`` in ``overrides`` stands for, without the keys that are set, and the folder.

    Nothing where there is no such override, where it is swept over, or where the folder or an override will
    not do: both are reported later, by name.
    """
    given = values_set(overrides)
    path = given.get(KEY)
    return _shape_and_tokenizer(path, given) if isinstance(path, str) else {}


def values_set(overrides: Sequence[str]) -> dict[str, object]:
    """The values of keys and groups that overrides set, ABSENT of a sweep; none if one cannot be read."""
    try:
        given = [parse(text) for text in overrides]
        return {each.key_or_group: ABSENT if each.is_sweep_override() else each.value() for each in given}
    except Exception:  # Hydra's grammar raises its own, and Python's where a number has 5,000 digits
        return {}


def _shape_and_tokenizer(path: str, set_already: Collection[str]) -> dict[str, Source]:
    folder = checkpoint.locate(path)
    try:
        shape = from_hf(folder)
        tokenizer = _tokenizer(folder)
    except (ConfigError, OSError):
        return {}
    found: dict[str, object] = {} if "model" in set_already else {f"model.{name}": getattr(shape, name) for name in _shape()}
    if not any(key.partition(".")[0] == "tokenizer" for key in set_already):
        found |= tokenizer
    source = Source("file", relative_path(folder))
    return {override(key, value): source for key, value in found.items() if key not in set_already}


def _shape() -> list[str]:
    return [field.name for field in fields_of(GPT2Config) if field.init]


def _tokenizer(folder: Path) -> dict[str, object]:
    """The override that chooses the tokenizer of a folder."""
    size, _ = tokenizer_files.symbols(folder)
    if size == VOCABULARIES["bytes"] and not _merges(folder):
        return {"tokenizer": "bytes"}
    return {"tokenizer": "gpt2", "tokenizer.path": str(folder)}


def _merges(folder: Path) -> bool:
    files = tokenizer_files.in_folder(folder)
    if len(files) == len(tokenizer_files.FILES):
        return bool(tokenizer_files.read_merges(files[1]))
    return bool(tokenizer_files.read_tokenizer_json(folder)["model"].get("merges"))


def check_init_from(config: TrainConfig) -> list[Violation]:
    """Why training cannot begin from the folder: it cannot be used, or its shape is another."""
    if config.init_from is None:
        return []
    found = checkpoint.check_checkpoint(config.init_from)
    if found:
        return [replace(violation, key=KEY, remedy={}) for violation in found]
    try:
        shape = from_hf(checkpoint.locate(config.init_from))
    except (ConfigError, OSError) as error:
        return [unreadable(KEY, config.init_from, error)]
    return [
        Violation(
            f"model.{name}",
            getattr(config.model, name),
            f"must be {getattr(shape, name)}, as in init_from = {config.init_from}",
            remedy={f"model.{name}": getattr(shape, name)},
            others={KEY: None},
        )
        for name in _shape()
        if name not in DROPOUTS and getattr(config.model, name) != getattr(shape, name)
    ]


def note(config: TrainConfig) -> str:
    """The note before such a run."""
    folder = checkpoint.locate(str(config.init_from))
    own = config.tokenizer.name == "bytes" or user_path(str(config.tokenizer.path)) == folder
    return f"note: weights{', shape and tokenizer' if own else ' and shape'} are those of {folder}" + (
        "" if own else "; the tokenizer is another"
    )
