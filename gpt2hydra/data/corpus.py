"""What a run is trained on: the files of its text, how many tokens they have, what can be wrong with them, and the tokens.

Standard library only until tokens are asked for, so that a plan or a refusal needs neither numpy nor torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gpt2hydra.config.errors import ConfigError, Violation, unreadable
from gpt2hydra.config.run import VOCABULARIES, TrainConfig
from gpt2hydra.data import cache, shards, text, tokenizer_files
from gpt2hydra.utils.formatting import reason_of, show
from gpt2hydra.utils.paths import user_path

if TYPE_CHECKING:
    from gpt2hydra.data.tokens import Tokens, TokenSource

BYTES_PER_BPE_TOKEN = 4
"""A round figure for an estimate: English prose has a little more under GPT-2's BPE, plays and program text less."""

IN_MEMORY = 16_000_000
"""Bytes of text that are tokenized in memory, at each start and within seconds; more of it goes through the cache."""

SHORTEST = 4
"""Tokens of a part below which a shorter sequence is no remedy for a short text."""

# ------------------------------------------------------------------------------------------------------- how many tokens


def training_tokens(config: TrainConfig) -> tuple[int, bool] | None:
    """The tokens of the training part, and whether that is exact or an estimate; None without a text."""
    try:
        total, exact = _count(config.data.path, config)
    except (OSError, RuntimeError, ImportError, shards.NotTokens):
        return None
    return total - _held_out(total, config), exact


def _count(path: str | None, config: TrainConfig) -> tuple[int, bool]:
    """Tokens, and whether that is exact. Each document begins with end-of-text."""
    if path is None:
        lengths = [len(topic) for topic in text.reference()]
        return _tokens_of(sum(lengths), config) + len(lengths), config.tokenizer.name == "bytes"
    counts = [_count_of(file, config) for file in _with_content(text.files(path))]
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


def _held_out(total: int, config: TrainConfig) -> int:
    """How many of ``total`` tokens are kept for validation."""
    return int(total * config.data.validation_fraction) if config.data.validation_path is None else 0


def _with_content(files: Iterable[Path]) -> list[Path]:
    return [file for file in files if file.stat().st_size]


# ----------------------------------------------------------------------------------------------------- what can be wrong


def check_corpus(config: TrainConfig) -> list[Violation]:
    """Everything about text and tokenizer that a look at the disk can refuse before the run begins."""
    return check_files(config) or _length_problems(config) or _cache_problems(config)


def check_files(config: TrainConfig) -> list[Violation]:
    """What is wrong with the files of text and tokenizer, each by itself."""
    of_tokenizer = tokenizer_files.check_tokenizer(config.tokenizer, config.model.vocab_size)
    limit = VOCABULARIES["bytes"] if of_tokenizer else _symbols(config)
    found = [*_path_problems("data.path", config.data.path, limit), *of_tokenizer]
    if config.data.validation_path is not None:
        found += _path_problems("data.validation_path", config.data.validation_path, limit)
    return found


def check_paths(config: TrainConfig) -> list[Violation]:
    """What is wrong with the files of the text, whatever the tokenizer is."""
    paths = {"data.path": config.data.path, "data.validation_path": config.data.validation_path}
    given = {key: path for key, path in paths.items() if path is not None}
    return [violation for key, path in given.items() for violation in _path_problems(key, path, _ANY_TOKEN)]


_ANY_TOKEN = 2**63
"""A limit that no token reaches."""


def _symbols(config: TrainConfig) -> int:
    """Tokens from this one on are none of the tokenizer's, as far as this machine knows it."""
    folder = user_path(str(config.tokenizer.path))
    if config.tokenizer.name == "bytes" or not folder.is_dir():
        return VOCABULARIES[config.tokenizer.name]
    return tokenizer_files.symbols(folder)[0]


def _path_problems(key: str, path: str | None, limit: int) -> list[Violation]:
    if path is None:
        return (
            [] if _has_reference() else [Violation(key, None, "must be given: this Python lacks pydoc_data, the default text")]
        )
    try:
        return _file_problems(key, path, limit)
    except OSError as error:
        return [unreadable(key, path, error)]


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
            rule = rule if len(found) == 1 else f"{show(str(file))}: {rule}"
            return [Violation(key, path, rule, remedy={key: meant} if meant else {})]
    return [] if _with_content(found) else [Violation(key, path, "is empty" if len(found) == 1 else "matches empty files only")]


def _file_problem(file: Path, limit: int) -> tuple[str, str]:
    """What is wrong with one file, and the path that was probably meant; two empty texts if nothing."""
    if file.is_dir():
        return "is a folder; must be a file or a glob", f"{file}/*.txt"
    if not file.exists():
        near = text.similar(file)
        searched = "" if file.is_absolute() else f" in {Path.cwd()}"
        return f"there is no such file{searched}", str(near) if near else ""
    if not file.is_file():
        return "must be a regular file", ""
    try:
        return (_content_problem(file, limit) if file.stat().st_size else ""), ""
    except OSError as error:
        return f"cannot be read: {reason_of(error)}", ""


def _content_problem(file: Path, limit: int) -> str:
    if file.suffix != shards.SUFFIX:
        return text.problem(file)
    try:
        highest = shards.highest(shards.recognise(file))
    except shards.NotTokens as why:
        return str(why)
    if highest < limit:
        return ""
    hint = "; GPT-2's tokens need tokenizer=gpt2" if limit < highest < VOCABULARIES["gpt2"] else ""
    return f"holds token {highest:,}, and the tokenizer has {limit:,} symbols{hint}"


def _length_problems(config: TrainConfig) -> list[Violation]:
    """Both parts must hold a sequence and the token after it. BPE is counted only where its size leaves a doubt."""
    needed, path = config.training.seq_len + 1, config.data.validation_path
    if path is None:
        return _too_short(config, _exact(config.data.path, config, needed / min(config.data.validation_fraction, 0.5)))
    found = []
    for key, each in (("data.path", config.data.path), ("data.validation_path", path)):
        count = _exact(each, config, needed)
        if count < needed:
            rule = f"is too short: it has {count:,} tokens, and training.seq_len + 1 = {needed:,} are needed"
            found.append(Violation(key, each, rule, remedy=_shorter(count)))
    return found


def _exact(path: str | None, config: TrainConfig, enough: float) -> int:
    """How many tokens there are; of BPE, a bound where that tells too few or ``enough``."""
    count, exact = _count(path, config)
    folder = user_path(str(config.tokenizer.path))
    if exact or (config.tokenizer.name == "gpt2" and not folder.is_dir()):
        return count if exact else sum(text.sizes(path))  # no BPE has more tokens than bytes
    least = count if config.tokenizer.name == "bytes" else BYTES_PER_BPE_TOKEN * count // tokenizer_files.symbols(folder)[1]
    if least > enough or (path is not None and _for_cache(path)):
        return least
    try:
        return len(_read(path, config))
    except ImportError:  # without the library that counts, the run itself finds out
        return count


def _too_short(config: TrainConfig, total: int) -> list[Violation]:
    needed, fraction = config.training.seq_len + 1, config.data.validation_fraction
    validation = _held_out(total, config)
    shorter, name = min((validation, "validation"), (total - validation, "training"))
    if shorter >= needed:
        return []
    rule = (
        f"is too short: of its {total:,} tokens {shorter:,} are for {name} "
        f"(data.validation_fraction = {show(fraction)}), and training.seq_len + 1 = {needed:,} are needed"
    )
    return [Violation("data.path", config.data.path, rule, remedy=_shorter(shorter))]


def _shorter(count: int) -> dict[str, object]:
    return {"training.seq_len": count - 1} if count > SHORTEST else {}


def _cache_problems(config: TrainConfig) -> list[Violation]:
    large = [file for path in (config.data.path, config.data.validation_path) if path for file in _for_cache(path)]
    try:
        return cache.check_cache(large, config) if large else []
    except OSError as error:
        return [unreadable("data.cache_dir", config.data.cache_dir, error)]


def _for_cache(path: str) -> list[Path]:
    """The texts of a path that are too large, together, to be tokenized in memory."""
    texts = [file for file in _with_content(text.files(path)) if file.suffix != shards.SUFFIX]
    return texts if sum(text.size(file)[0] for file in texts) > IN_MEMORY else []


# ------------------------------------------------------------------------------------------------------------- tokens


def tokens(config: TrainConfig) -> tuple[Tokens, Tokens]:
    """The tokens for training and those for validation: ``data.validation_path``, or the end of each file.

    Raises:
        ConfigError: the text cannot be decoded, is too short, or the tokenizer's files cannot be had.
    """
    from gpt2hydra.data.tokens import Tokens

    sources = _sources(config.data.path, config)
    if config.data.validation_path is not None:
        return Tokens.of_sources(sources, _symbols(config)), _read(config.data.validation_path, config)
    violations = _too_short(config, sum(source.count for source in sources))
    if violations:
        raise ConfigError(violations)
    return Tokens.split(sources, config.data.validation_fraction, _symbols(config))


def all_tokens(config: TrainConfig, limit: int) -> Tokens:
    """All tokens of ``data.path``; those from ``limit`` on are refused when they are read.

    Raises:
        ConfigError: as :func:`tokens` does.
    """
    from gpt2hydra.data.tokens import Tokens

    return Tokens.of_sources(_sources(config.data.path, config), limit)


def _read(path: str | None, config: TrainConfig) -> Tokens:
    from gpt2hydra.data.tokens import Tokens

    return Tokens.of_sources(_sources(path, config), _symbols(config))


def _sources(path: str | None, config: TrainConfig) -> list[TokenSource]:
    from gpt2hydra.data.encoding import Encoder
    from gpt2hydra.data.tokens import InMemory

    if path is None:
        return [InMemory(Encoder(config.tokenizer).reference())]
    files = _with_content(text.files(path))
    large = _for_cache(path)
    cached = dict(zip(large, cache.tokenized(large, config), strict=True))
    small = {file for file in files if file.suffix != shards.SUFFIX and file not in cached}
    encoder = Encoder(config.tokenizer) if small else None
    sources: list[TokenSource] = []
    for file in files:
        if file in cached:
            sources += cached[file]
        elif encoder is not None and file in small:
            sources.append(InMemory.joined(encoder.tokens(file)))
        else:
            sources.append(shards.recognise(file))
    return sources
