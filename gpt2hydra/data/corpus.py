"""The text of a run: its files, and the number of their tokens. Standard library only.

:mod:`gpt2hydra.data.corpus_checks` checks the files, :mod:`gpt2hydra.data.corpus_tokens` loads the tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gpt2hydra.config.errors import Violation
from gpt2hydra.config.run import VOCABULARY_SIZES, TrainConfig
from gpt2hydra.data import cache, text, token_files, tokenizer_files
from gpt2hydra.utils.formatting import format_value
from gpt2hydra.utils.paths import user_path

BYTES_PER_BPE_TOKEN = 4
"""Estimate for GPT-2's BPE: English prose has slightly more bytes a token, plays and programs fewer."""

MAX_IN_MEMORY_BYTES = 16_000_000
"""Bytes of the largest text that is tokenized in memory at each start; a larger one is cached."""

MIN_REMEDY_TOKENS = 4
"""If a part of the text has no more tokens than this, a shorter sequence is not offered as a remedy."""


def count_training_tokens(config: TrainConfig) -> tuple[int, bool] | None:
    """Return the number of tokens for training, and whether it is exact; None if the text is unusable."""
    try:
        total, exact = count_tokens(config.data.path, config)
    except (OSError, RuntimeError, ImportError, token_files.NotTokenFile):
        return None
    return total - count_held_out(total, config), exact


def count_tokens(path: str | None, config: TrainConfig) -> tuple[int, bool]:
    """Return the number of tokens, end-of-text before each document included, and whether it is exact."""
    if path is None:
        lengths = [len(topic) for topic in text.reference()]
        return _estimate_tokens(sum(lengths), config) + len(lengths), config.tokenizer.name == "bytes"
    counts = [_count_file(file, config) for file in nonempty_files(text.files(path))]
    return sum(count for count, _ in counts), all(exact for _, exact in counts)


def _count_file(file: Path, config: TrainConfig) -> tuple[int, bool]:
    if file.suffix == token_files.SUFFIX:
        return token_files.recognise(file).count, True
    known = cache.find_cached(file, config)
    if known is not None:
        return sum(token_file.count for token_file in known), True
    size, is_exact = text.size(file)
    return _estimate_tokens(size, config) + 1, is_exact and config.tokenizer.name == "bytes"


def _estimate_tokens(size: int, config: TrainConfig) -> int:
    return size if config.tokenizer.name == "bytes" else size // BYTES_PER_BPE_TOKEN


def count_held_out(total: int, config: TrainConfig) -> int:
    """Return how many of ``total`` tokens are used for validation."""
    return int(total * config.data.validation_fraction) if config.data.validation_path is None else 0


def vocabulary_size(config: TrainConfig) -> int:
    """Return the vocabulary size of the tokenizer; GPT-2's if its folder is not on this machine."""
    folder = user_path(str(config.tokenizer.path))
    if config.tokenizer.name == "bytes" or not folder.is_dir():
        return VOCABULARY_SIZES[config.tokenizer.name]
    return tokenizer_files.vocabulary_stats(folder)[0]


def nonempty_files(files: Iterable[Path]) -> list[Path]:
    """Return the files that are not empty."""
    return [file for file in files if file.stat().st_size]


def texts_for_cache(path: str) -> list[Path]:
    """Return the text files of a path if together they are too large to be tokenized in memory, else none."""
    texts = [file for file in nonempty_files(text.files(path)) if file.suffix != token_files.SUFFIX]
    return texts if sum(text.size(file)[0] for file in texts) > MAX_IN_MEMORY_BYTES else []


def check_split(config: TrainConfig, total: int) -> list[Violation]:
    """Return a violation if, of ``total`` tokens, the training or validation part is shorter than a sequence."""
    needed, fraction = config.training.seq_len + 1, config.data.validation_fraction
    validation = count_held_out(total, config)
    shorter, name = min((validation, "validation"), (total - validation, "training"))
    if shorter >= needed:
        return []
    rule = (
        f"is too short: of its {total:,} tokens {shorter:,} are for {name} "
        f"(data.validation_fraction = {format_value(fraction)}), and training.seq_len + 1 = {needed:,} are needed"
    )
    return [Violation("data.path", config.data.path, rule, remedy=seq_len_remedy(shorter))]


def seq_len_remedy(count: int) -> dict[str, object]:
    """Return a shorter sequence as remedy for a part of ``count`` tokens; none if that is too short."""
    return {"training.seq_len": count - 1} if count > MIN_REMEDY_TOKENS else {}
