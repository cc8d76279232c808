"""What a run is trained on: the files of its text, and how many tokens they have. Standard library only.

:mod:`gpt2hydra.data.corpus_checks` says what can be wrong with them, :mod:`gpt2hydra.data.corpus_tokens` reads
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gpt2hydra.config.errors import Violation
from gpt2hydra.config.run import VOCABULARIES, TrainConfig
from gpt2hydra.data import cache, shards, text, tokenizer_files
from gpt2hydra.utils.formatting import show
from gpt2hydra.utils.paths import user_path

BYTES_PER_BPE_TOKEN = 4
"""A round figure for an estimate: English prose has a little more under GPT-2's BPE, plays and program text less."""

IN_MEMORY = 16_000_000
"""Bytes of text that are tokenized in memory, at each start and within seconds; more of it goes through the cache."""

SHORTEST = 4
"""Tokens of a part below which a shorter sequence is no remedy for a short text."""


def training_tokens(config: TrainConfig) -> tuple[int, bool] | None:
    """The tokens of the training part, and whether that is exact or an estimate; None without a text."""
    try:
        total, exact = count_tokens(config.data.path, config)
    except (OSError, RuntimeError, ImportError, shards.NotTokens):
        return None
    return total - held_out(total, config), exact


def count_tokens(path: str | None, config: TrainConfig) -> tuple[int, bool]:
    """Tokens, and whether that is exact. Each document begins with end-of-text."""
    if path is None:
        lengths = [len(topic) for topic in text.reference()]
        return _tokens_of(sum(lengths), config) + len(lengths), config.tokenizer.name == "bytes"
    counts = [_count_of(file, config) for file in not_empty(text.files(path))]
    return sum(count for count, _ in counts), all(exact for _, exact in counts)


def _count_of(file: Path, config: TrainConfig) -> tuple[int, bool]:
    if file.suffix == shards.SUFFIX:
        return shards.recognise(file).count, True
    known = cache.known(file, config)
    if known is not None:
        return sum(shard.count for shard in known), True
    size, is_exact = text.size(file)
    return _tokens_of(size, config) + 1, is_exact and config.tokenizer.name == "bytes"


def _tokens_of(size: int, config: TrainConfig) -> int:
    return size if config.tokenizer.name == "bytes" else size // BYTES_PER_BPE_TOKEN


def held_out(total: int, config: TrainConfig) -> int:
    """How many of ``total`` tokens are kept for validation."""
    return int(total * config.data.validation_fraction) if config.data.validation_path is None else 0


def symbols(config: TrainConfig) -> int:
    """Tokens from this one on are none of the tokenizer's, as far as this machine knows it."""
    folder = user_path(str(config.tokenizer.path))
    if config.tokenizer.name == "bytes" or not folder.is_dir():
        return VOCABULARIES[config.tokenizer.name]
    return tokenizer_files.symbols(folder)[0]


def not_empty(files: Iterable[Path]) -> list[Path]:
    """Those of some files that hold something."""
    return [file for file in files if file.stat().st_size]


def texts_for_cache(path: str) -> list[Path]:
    """The texts of a path that are too large, together, to be tokenized in memory."""
    texts = [file for file in not_empty(text.files(path)) if file.suffix != shards.SUFFIX]
    return texts if sum(text.size(file)[0] for file in texts) > IN_MEMORY else []


def too_short(config: TrainConfig, total: int) -> list[Violation]:
    """The violation of a text of so many tokens whose part for training or validation is shorter than a sequence."""
    needed, fraction = config.training.seq_len + 1, config.data.validation_fraction
    validation = held_out(total, config)
    shorter, name = min((validation, "validation"), (total - validation, "training"))
    if shorter >= needed:
        return []
    rule = (
        f"is too short: of its {total:,} tokens {shorter:,} are for {name} "
        f"(data.validation_fraction = {show(fraction)}), and training.seq_len + 1 = {needed:,} are needed"
    )
    return [Violation("data.path", config.data.path, rule, remedy=shorter_sequence(shorter))]


def shorter_sequence(count: int) -> dict[str, object]:
    """The remedy for a part of so many tokens."""
    return {"training.seq_len": count - 1} if count > SHORTEST else {}
