"""The text of a run: where it lies, whether it will do, and the batches it becomes.

Standard library only until tokens are asked for, so that a plan or a refusal needs neither numpy nor torch.
"""

from __future__ import annotations

import codecs
import difflib
import functools
import glob
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import TrainConfig, TrainingConfig
from gpt2hydra.config.words import show
from gpt2hydra.data import tokenizer

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    from gpt2hydra.data.tokens import Tokens

BYTES_PER_BPE_TOKEN = 4
"""A round figure for an estimate: English prose has a little more under GPT-2's BPE, plays and program text less."""

SHORTEST = 4
"""Tokens of a part below which a shorter sequence is no remedy for a short text."""

CHECKED_BYTES = 256 * 2**20
"""So much of each file is checked to be UTF-8 before a run begins; BPE checks the rest, bytes are taken as they are."""

# ------------------------------------------------------------------------------------------------------- the documents


def files(path: str) -> list[Path]:
    """The files that ``data.path`` names, sorted: one, or those that a glob (``*``, ``?``, ``[]``, ``**``) matches."""
    plain = Path(path).expanduser()
    if plain.exists() or not glob.has_magic(path):
        return [plain]
    return sorted(file for file in map(Path, glob.glob(str(plain), recursive=True)) if file.is_file())


def documents(path: str | None) -> Iterator[bytes]:
    """Each document as UTF-8: a file, or a topic of Python's language reference; empty ones are left out."""
    contents = (file.read_bytes() for file in files(path)) if path is not None else iter(_reference())
    return (content for content in contents if content)


@functools.cache
def _reference() -> tuple[bytes, ...]:
    """The Python language reference, which ships with CPython for ``help()``: about 700 KB of English."""
    from pydoc_data.topics import topics

    return tuple(topics[name].encode() for name in sorted(topics))


def sizes(path: str | None) -> list[int]:
    """The bytes of each document."""
    found = [file.stat().st_size for file in files(path)] if path is not None else [len(text) for text in _reference()]
    return [size for size in found if size]


def split(total: int, validation_fraction: float) -> tuple[int, int]:
    """How many of ``total`` tokens are for training, and how many, at the end, for validation."""
    validation = int(total * validation_fraction)
    return total - validation, validation


def training_tokens(config: TrainConfig) -> tuple[int, bool] | None:
    """The tokens of the training part, and whether that is exact (bytes) or an estimate (BPE); None without a text."""
    try:
        total, exact = _count(sizes(config.data.path)), config.tokenizer.name == "bytes"
    except (OSError, RuntimeError, ImportError):
        return None
    return split(total if exact else total // BYTES_PER_BPE_TOKEN, config.data.validation_fraction)[0], exact


def _count(lengths: list[int]) -> int:
    """Tokens of documents of these lengths, with an end-of-text between each two."""
    return sum(lengths) + max(0, len(lengths) - 1)


# ----------------------------------------------------------------------------------------------------- what can be wrong


def problems(config: TrainConfig) -> list[Violation]:
    """Everything about text and tokenizer that a look at the disk can refuse before the run begins."""
    of_text = _text_problems(config.data.path)
    of_tokenizer = tokenizer.problems(config.tokenizer, config.model.vocab_size)
    of_length = [] if of_text or of_tokenizer else _length_problems(config)
    return [*of_text, *of_tokenizer, *of_length]


def _text_problems(path: str | None) -> list[Violation]:
    if path is None:
        return [] if _has_reference() else [_violation(None, "must be given: this Python lacks pydoc_data, the default text")]
    try:
        return _path_problems(path)
    except (OSError, RuntimeError) as error:  # no permission, a name that is too long, a home that is not there
        return [_violation(path, f"cannot be looked at: {getattr(error, 'strerror', None) or error}")]


def _path_problems(path: str) -> list[Violation]:
    if not path.strip():
        return [_violation(path, "must not be empty", {"data.path": None})]
    found = files(path)
    if not found:
        return [_violation(path, "matches no file")]
    for file in found:
        rule, remedy = _file_problem(file)
        if rule:
            return [_violation(path, rule if len(found) == 1 else f"{file}: {rule}", remedy)]
    return [] if sizes(path) else [_violation(path, "is empty" if len(found) == 1 else "matches empty files only")]


def _violation(path: str | None, rule: str, remedy: Mapping[str, object] | None = None) -> Violation:
    return Violation("data.path", path, rule, remedy=remedy or {})


def _has_reference() -> bool:
    try:
        return bool(_reference())
    except ImportError:  # some distributions split it from Python
        return False


def _file_problem(file: Path) -> tuple[str, dict[str, object]]:
    """What is wrong with one file, if anything, and what to set instead."""
    if file.is_dir():
        return "is a folder; must be a text file or a glob", {"data.path": f"{file}/*.txt"}
    if not file.exists():
        near = _similar(file)
        return "there is no such file", {"data.path": str(near)} if near else {}
    if not file.is_file():
        return "must be a regular file", {}
    try:
        stat = file.stat()
        where = _not_utf8(file, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        return f"cannot be read: {error.strerror}", {}
    if where is not None:
        return f"must be UTF-8; byte {where:,} is not (iconv -f LATIN1 -t UTF-8 converts, if that is what it is)", {}
    return "", {}


def _similar(file: Path) -> Path | None:
    """A file beside the missing one, with a name like its own."""
    try:
        names = [each.name for each in file.parent.iterdir() if each.is_file() and each.stat().st_size]
    except OSError:
        return None
    near = difflib.get_close_matches(file.name, names, n=1, cutoff=0.75)
    return file.parent / near[0] if near else None


@functools.lru_cache(maxsize=10_000)
def _not_utf8(file: Path, size: int, modified: int) -> int | None:
    """Where the first byte stands that is not UTF-8. Size and time of change only tell the cache that a file is new."""
    decoder, done = codecs.getincrementaldecoder("utf-8")(), 0
    with file.open("rb") as stream:
        while done < CHECKED_BYTES and (block := stream.read(2**20)):
            held = len(decoder.getstate()[0])  # bytes of a character that the last block cut
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                return done - held + error.start
            done += len(block)
    return size - len(decoder.getstate()[0]) if done == size and decoder.getstate()[0] else None


def _length_problems(config: TrainConfig) -> list[Violation]:
    """Both parts must hold a sequence and the token after it. BPE is counted only where its size leaves a doubt."""
    lengths = sizes(config.data.path)
    if config.tokenizer.name == "bytes":
        return _too_short(config, _count(lengths))
    folder = Path(str(config.tokenizer.path)).expanduser()
    if not folder.is_dir() or _too_short(config, _count(lengths)):  # no BPE has more tokens than bytes
        return _too_short(config, _count(lengths))
    _, longest, _ = tokenizer.vocabulary(folder / "vocab.json")
    if not _too_short(config, sum(lengths) // longest):
        return []
    try:
        return _too_short(config, len(_tokens(config)))
    except ImportError:  # without the library that counts, the run itself finds out
        return []


def _too_short(config: TrainConfig, total: int) -> list[Violation]:
    needed, fraction = config.training.seq_len + 1, config.data.validation_fraction
    training, validation = split(total, fraction)
    shorter, name = min((validation, "validation"), (training, "training"))
    if shorter >= needed:
        return []
    rule = (
        f"is too short: of its {total:,} tokens {shorter:,} are for {name} "
        f"(data.validation_fraction = {show(fraction)}), and training.seq_len + 1 = {needed:,} are needed"
    )
    return [_violation(config.data.path, rule, {"training.seq_len": shorter - 1} if shorter > SHORTEST else {})]


# ------------------------------------------------------------------------------------------------------------- tokens


def tokens(config: TrainConfig) -> tuple[Tokens, Tokens]:
    """The tokens for training and those for validation. Documents are joined by end-of-text.

    Raises:
        ConfigError: the text cannot be decoded, is too short, or the tokenizer's files cannot be had.
    """
    all_tokens = _tokens(config)
    violations = _too_short(config, len(all_tokens))
    if violations:
        raise ConfigError(violations)
    from gpt2hydra.data.tokens import Tokens

    training, _ = split(len(all_tokens), config.data.validation_fraction)
    return Tokens.of(all_tokens[:training]), Tokens.of(all_tokens[training:])


def _tokens(config: TrainConfig) -> npt.NDArray[Any]:
    import numpy as np

    parts: list[Any] = []
    if config.tokenizer.name == "bytes":
        for content in documents(config.data.path):
            parts += [np.array([256], np.uint16), np.frombuffer(content, np.uint8).astype(np.uint16)]
    else:
        bpe = tokenizer.load(config.tokenizer)
        number = np.uint16 if bpe.size <= 2**16 else np.uint32
        for content in documents(config.data.path):
            parts.append(np.array([bpe.end_of_text], number))
            parts += [np.array(piece, number) for piece in bpe.encode_pieces(_decoded(config, content))]
    return np.concatenate(parts[1:])  # no end-of-text before the first


def _decoded(config: TrainConfig, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ConfigError([_violation(config.data.path, f"must be UTF-8; byte {error.start:,} is not")]) from None


class TrainingBatches:
    """The batches of a run, by number, as :class:`gpt2hydra.data.order.Order` has them."""

    def __init__(self, tokens: Tokens, config: TrainingConfig, kind: str = "shuffled") -> None:
        self.tokens, self.config, self.kind = tokens, config, kind

    def __len__(self) -> int:
        return self.config.max_steps * self.config.gradient_accumulation_steps

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        from gpt2hydra.data.order import Order

        config = self.config
        step, number = divmod(index, config.gradient_accumulation_steps)
        sequences = config.batch_size * config.gradient_accumulation_steps
        order = Order(self.tokens, config.seq_len, sequences, config.seed, self.kind)
        return list(order.passes(step, config.batch_size))[number]._asdict()


def validation_batches(tokens: Tokens, config: TrainingConfig) -> Iterator[dict[str, torch.Tensor]]:
    """At most ``eval_batches`` batches, always the same, spread evenly over ``tokens``; none overlap if there is room."""
    from gpt2hydra.data.order import evaluation

    for batch in evaluation(tokens, config.seq_len, config.eval_batches * config.batch_size, config.batch_size):
        yield batch._asdict()
