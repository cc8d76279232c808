"""``init_from=DIR``: fine-tune the weights of a folder, with its shape and tokenizer. Standard library only.

Shape and tokenizer become overrides before those of the command line, so that a configuration, its record and
its checks are as if they had been typed. The command line takes precedence; a contradicting shape is a
violation.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from gpt2hydra.checkpoint import folder as checkpoint
from gpt2hydra.checkpoint.huggingface import from_hf
from gpt2hydra.composition.hydra_state import parse
from gpt2hydra.config.errors import ABSENT, ConfigError, Source, Violation, io_violation
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.keys import fields_of
from gpt2hydra.config.run import VOCABULARY_SIZES, TrainConfig
from gpt2hydra.data import tokenizer_files
from gpt2hydra.utils.paths import relative_path, user_path
from gpt2hydra.utils.quoting import format_override

KEY = "init_from"
DROPOUTS = ("resid_pdrop", "embd_pdrop", "attn_pdrop")
"""Fields of the shape that fine-tuning may change, because the weights do not depend on them."""


def implied_overrides(overrides: Sequence[str], set_by_options: Collection[str] = ()) -> dict[str, Source]:
    """The overrides that ``init_from=DIR`` implies, without keys that are set; the source is the folder.

    Dropouts that an option such as ``experiment=NAME`` sets are left out, too. Empty if there is no such
    override, if it is swept over, or if the folder or an override is invalid: both are reported later, by
    name.
    """
    given = parse_values(overrides)
    path = given.get(KEY)
    dropouts = {f"model.{name}" for name in DROPOUTS} & {*set_by_options}
    return _read_overrides(path, {*given, *dropouts}) if isinstance(path, str) else {}


def parse_values(overrides: Sequence[str]) -> dict[str, object]:
    """Key or group → value of each override, ABSENT for a sweep; empty if an override cannot be parsed."""
    try:
        given = [parse(text) for text in overrides]
        return {each.key_or_group: ABSENT if each.is_sweep_override() else each.value() for each in given}
    except Exception:  # an error of Hydra's grammar, or Python's for a number of 5,000 digits
        return {}


def _read_overrides(path: str, set_already: Collection[str]) -> dict[str, Source]:
    folder = checkpoint.find_checkpoint(path)
    try:
        shape = from_hf(folder)
        tokenizer = _tokenizer_overrides(folder)
    except (ConfigError, OSError):
        return {}
    found: dict[str, object] = (
        {} if "model" in set_already else {f"model.{name}": getattr(shape, name) for name in _shape_keys()}
    )
    if not any(key.partition(".")[0] == "tokenizer" for key in set_already):
        found |= tokenizer
    source = Source("file", relative_path(folder))
    return {format_override(key, value): source for key, value in found.items() if key not in set_already}


def _shape_keys() -> list[str]:
    return [field.name for field in fields_of(GPT2Config) if field.init]


def _tokenizer_overrides(folder: Path) -> dict[str, object]:
    """The overrides that choose the tokenizer of a folder."""
    size, _ = tokenizer_files.vocabulary_stats(folder)
    if size == VOCABULARY_SIZES["bytes"] and not _has_merges(folder):
        return {"tokenizer": "bytes"}
    return {"tokenizer": "gpt2", "tokenizer.path": str(folder)}


def _has_merges(folder: Path) -> bool:
    files = tokenizer_files.files_in_folder(folder)
    if len(files) == len(tokenizer_files.FILES):
        return bool(tokenizer_files.read_merges(files[1]))
    return bool(tokenizer_files.read_tokenizer_json(folder)["model"].get("merges"))


def check_init_from(config: TrainConfig) -> list[Violation]:
    """The violations of ``init_from``: the folder cannot be used, or its shape is not the configuration's."""
    if config.init_from is None:
        return []
    found = checkpoint.check_checkpoint(config.init_from)
    if found:
        return [replace(violation, key=KEY, remedy={}) for violation in found]
    try:
        shape = from_hf(checkpoint.find_checkpoint(config.init_from))
    except (ConfigError, OSError) as error:
        return [io_violation(KEY, config.init_from, error)]
    return [
        Violation(
            f"model.{name}",
            getattr(config.model, name),
            f"must be {getattr(shape, name)}, as in init_from = {config.init_from}",
            remedy={f"model.{name}": getattr(shape, name)},
            others={KEY: None},
        )
        for name in _shape_keys()
        if name not in DROPOUTS and getattr(config.model, name) != getattr(shape, name)
    ]


def format_note(config: TrainConfig) -> str:
    """The note that is printed before such a run."""
    folder = checkpoint.find_checkpoint(str(config.init_from))
    own = config.tokenizer.name == "bytes" or user_path(str(config.tokenizer.path)) == folder
    return f"note: weights{', shape and tokenizer' if own else ' and shape'} are those of {folder}" + (
        "" if own else "; the tokenizer is not"
    )
