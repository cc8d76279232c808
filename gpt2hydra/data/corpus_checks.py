"""Check text and tokenizer before a run. Standard library only, unless tokens must be counted."""

from __future__ import annotations

import math
from pathlib import Path

from gpt2hydra.config.errors import Violation, io_violation
from gpt2hydra.config.run import VOCABULARY_SIZES, TrainConfig
from gpt2hydra.data import cache, text, token_files, tokenizer_files
from gpt2hydra.data.corpus import (
    BYTES_PER_BPE_TOKEN,
    check_split,
    count_tokens,
    nonempty_files,
    seq_len_remedy,
    texts_for_cache,
    vocabulary_size,
)
from gpt2hydra.utils.formatting import error_reason, format_value
from gpt2hydra.utils.paths import user_path


def check_corpus(config: TrainConfig) -> list[Violation]:
    """Check text, tokenizer and cache as far as this is possible before the run and without a download."""
    return check_files(config) or _length_problems(config) or _cache_problems(config)


def check_files(config: TrainConfig) -> list[Violation]:
    """Check each file of text and tokenizer separately."""
    of_tokenizer = tokenizer_files.check_tokenizer(config.tokenizer, config.model.vocab_size)
    limit = VOCABULARY_SIZES["bytes"] if of_tokenizer else vocabulary_size(config)
    found = [*_path_problems("data.path", config.data.path, limit), *of_tokenizer]
    if config.data.validation_path is not None:
        found += _path_problems("data.validation_path", config.data.validation_path, limit)
    return found


def check_paths(config: TrainConfig) -> list[Violation]:
    """Check each file of the text, with any tokenizer."""
    paths = {"data.path": config.data.path, "data.validation_path": config.data.validation_path}
    given = {key: path for key, path in paths.items() if path is not None}
    return [violation for key, path in given.items() for violation in _path_problems(key, path, _ANY_TOKEN)]


_ANY_TOKEN = 2**63
"""Limit that is greater than every token."""


def _path_problems(key: str, path: str | None, limit: int) -> list[Violation]:
    if path is None:
        return (
            [] if _has_reference() else [Violation(key, None, "must be given: this Python lacks pydoc_data, the default text")]
        )
    try:
        return _file_problems(key, path, limit)
    except OSError as error:
        return [io_violation(key, path, error)]


def _has_reference() -> bool:
    try:
        return bool(text.reference())
    except ImportError:  # some distributions split it from Python
        return False


def _file_problems(key: str, path: str, limit: int) -> list[Violation]:
    if not path.strip():
        return [Violation(key, path, "must not be empty", remedy={key: None})]
    found = text.files(path)
    if not found:
        searched = "" if user_path(path).is_absolute() else f" in {Path.cwd()}"
        return [Violation(key, path, f"matches no file{searched}")]
    for file in found:
        rule, meant = _file_problem(file, limit)
        if rule:
            rule = rule if len(found) == 1 else f"{format_value(str(file))}: {rule}"
            return [Violation(key, path, rule, remedy={key: meant} if meant else {})]
    return (
        [] if nonempty_files(found) else [Violation(key, path, "is empty" if len(found) == 1 else "matches empty files only")]
    )


def _file_problem(file: Path, limit: int) -> tuple[str, str]:
    """Return the rule that a file breaks and the path that was probably meant; both empty if valid."""
    if file.is_dir():
        return "is a folder; must be a file or a glob", f"{file}/*.txt"
    if not file.exists():
        near = text.find_similar(file)
        searched = "" if file.is_absolute() else f" in {Path.cwd()}"
        return f"there is no such file{searched}", str(near) if near else ""
    if not file.is_file():
        return "must be a regular file", ""
    try:
        return (_content_problem(file, limit) if file.stat().st_size else ""), ""
    except OSError as error:
        return f"cannot be read: {error_reason(error)}", ""


def _content_problem(file: Path, limit: int) -> str:
    if file.suffix != token_files.SUFFIX:
        return text.problem(file)
    try:
        highest_token = token_files.highest_token(token_files.recognise(file))
    except token_files.NotTokenFile as why:
        return str(why)
    if highest_token < limit:
        return ""
    hint = "; GPT-2's tokens need tokenizer=gpt2" if limit < highest_token < VOCABULARY_SIZES["gpt2"] else ""
    return f"holds token {highest_token:,}; the tokenizer has only {limit:,} symbols{hint}"


def _length_problems(config: TrainConfig) -> list[Violation]:
    """Check that each part has seq_len + 1 tokens. BPE text is tokenized only if its size does not decide."""
    needed, path = config.training.seq_len + 1, config.data.validation_path
    if path is None:
        return check_split(
            config, _count_or_bound(config.data.path, config, needed / min(config.data.validation_fraction, 0.5))
        )
    found = []
    for key, each in (("data.path", config.data.path), ("data.validation_path", path)):
        count = _count_or_bound(each, config, needed)
        if count < needed:
            rule = f"is too short: it has {count:,} tokens, and training.seq_len + 1 = {needed:,} are needed"
            found.append(Violation(key, each, rule, remedy=seq_len_remedy(count)))
    return found


def _count_or_bound(path: str | None, config: TrainConfig, enough: float) -> int:
    """Return the number of tokens; for BPE maybe a lower bound above ``enough``, or an upper bound."""
    count, exact = count_tokens(path, config)
    folder = user_path(str(config.tokenizer.path))
    if exact:
        return count
    if config.tokenizer.name == "gpt2" and not folder.is_dir():  # its files are on the hub
        most = text.max_tokens(path)
        return math.ceil(enough) + 1 if most is None else most
    least = (
        count
        if config.tokenizer.name == "bytes"
        else BYTES_PER_BPE_TOKEN * count // tokenizer_files.vocabulary_stats(folder)[1]
    )
    if least > enough or (path is not None and texts_for_cache(path)):
        return least
    try:
        from gpt2hydra.data.corpus_tokens import load_path_tokens  # needs numpy and tokenizers; no other check does

        return len(load_path_tokens(path, config))
    except ImportError:  # tokenizers is not installed: the run itself will check
        return count


def _cache_problems(config: TrainConfig) -> list[Violation]:
    large = [file for path in (config.data.path, config.data.validation_path) if path for file in texts_for_cache(path)]
    try:
        return cache.check_cache(large, config) if large else []
    except OSError as error:
        return [io_violation("data.cache_dir", config.data.cache_dir, error)]
