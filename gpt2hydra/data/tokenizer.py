"""Text to tokens and back, with byte-level BPE. Plain bytes are the case without merges. Never imports torch.

Every token stands for certain bytes, so a text is decoded exactly, and also while it is still being generated.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpt2hydra.config.errors import NO_PATH, ConfigError, Violation, unreadable
from gpt2hydra.config.quoting import Blank
from gpt2hydra.config.run import BYTES_END_OF_TEXT, TokenizerConfig
from gpt2hydra.config.strict_json import read_json
from gpt2hydra.config.words import reason_of, show

if TYPE_CHECKING:
    import tokenizers

END_OF_TEXT = "<|endoftext|>"
FILES = ("vocab.json", "merges.txt")
WHOLE = "tokenizer.json"
LARGEST_FILE = 100_000_000
"""Bytes; GPT-2's own vocab.json has about a million."""


class Tokenizer:
    """A byte-level BPE: ``encode`` takes text as it is, ``bytes_of`` gives the bytes that a token stands for."""

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        self.backend = backend
        self.backend.encode_special_tokens = True  # "<|endoftext|>" inside a text is text
        self.size = max(backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        self.end_of_text: int | None = backend.token_to_id(END_OF_TEXT)
        self._added = {token: str(added.content) for token, added in backend.get_added_tokens_decoder().items()}

    def encode(self, text: str) -> list[int]:
        """The tokens of a text."""
        return self.backend.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """The tokens of each of several texts, on all cores."""
        return [encoding.ids for encoding in self.backend.encode_batch_fast(texts, add_special_tokens=False)]

    def bytes_of(self, token: int) -> bytes:
        """The bytes of one token; none for end-of-text and for ids beyond the vocabulary."""
        if token == self.end_of_text:
            return b""
        if token in self._added:
            return self._added[token].encode()
        characters = self.backend.id_to_token(token) or ""
        return bytes(byte_of()[character] for character in characters)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens; bytes that are no UTF-8 become U+FFFD."""
        return b"".join(map(self.bytes_of, tokens)).decode("utf-8", errors="replace")

    def save(self, folder: Path, longest: int) -> None:
        """Write the files that ``AutoTokenizer`` and its like read. ``longest`` is the model's context, in tokens."""
        self.backend.encode_special_tokens = False  # saved as the rest of the world has it
        self.backend.save(str(folder / WHOLE))
        self.backend.encode_special_tokens = True
        self.backend.model.save(str(folder))
        special = {f"{kind}_token": END_OF_TEXT for kind in ("bos", "eos", "unk")}
        about = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": longest, "add_prefix_space": False, **special}
        (folder / "tokenizer_config.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


@functools.cache
def byte_of() -> dict[str, int]:
    """Character in a vocabulary file → the byte it stands for.

    Printable bytes stand for themselves; the others, in order, are U+0100 onwards (OpenAI, gpt-2/src/encoder.py).
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + rank): byte for rank, byte in enumerate(others)}


# -------------------------------------------------------------------------------------------------------- where from


def load(config: TokenizerConfig) -> Tokenizer:
    """The tokenizer of a run.

    Raises:
        ConfigError: its files cannot be had.
    """
    return bytes_tokenizer() if config.name == "bytes" else from_files(*files(str(config.path)))


def bytes_tokenizer() -> Tokenizer:
    """A token is a byte; one more is end-of-text."""
    return _byte_level(dict(byte_of()) | {END_OF_TEXT: BYTES_END_OF_TEXT}, [])


def from_files(vocab: Path, merges: Path) -> Tokenizer:
    """GPT-2's format: ``vocab.json`` (token → id) and ``merges.txt`` (a pair of tokens a line, most frequent first).

    Raises:
        ConfigError: they are none of that.
    """
    symbols = read_json(vocab, LARGEST_FILE)
    with _refused(vocab.parent):
        lines = merges.read_text(encoding="utf-8").split("\n")
        pairs = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
        return _byte_level(symbols, pairs)


def from_folder(folder: Path) -> Tokenizer:
    """The tokenizer of a Hugging Face folder: ``tokenizer.json``, or else ``vocab.json`` and ``merges.txt``.

    Raises:
        ConfigError: there is none, or it is no byte-level BPE.
    """
    import tokenizers

    if not (folder / WHOLE).is_file():
        return from_files(*(folder / name for name in FILES))
    read_whole(folder)
    with _refused(folder / WHOLE):
        return Tokenizer(tokenizers.Tokenizer.from_file(str(folder / WHOLE)))


def read_whole(folder: Path) -> dict[str, Any]:
    """The content of ``tokenizer.json``.

    Raises:
        ConfigError: it cannot be read, or is no byte-level BPE.
    """
    content = read_json(folder / WHOLE, LARGEST_FILE)
    decoder, model = content.get("decoder"), content.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(decoder, dict) or decoder.get("type") != "ByteLevel" or not isinstance(vocab, dict):
        raise ConfigError([Violation(str(folder / WHOLE), rule="must be a byte-level BPE, as GPT-2's is")])
    problem = not_byte_level(vocab)
    if problem:
        raise ConfigError([Violation(str(folder / WHOLE), rule=problem)])
    return content


def not_byte_level(vocab: Mapping[str, object]) -> str:
    """Why a vocabulary does not stand for bytes: it lacks one, or has a symbol of something else. Empty if it does."""
    absent = [character for character in byte_of() if character not in vocab]
    if absent:
        return f"must have a symbol for each byte; {len(absent)} of 256 are absent, {show(absent[0])} is the first"
    alphabet = set(byte_of())
    strange = next((token for token in vocab if token != END_OF_TEXT and not alphabet.issuperset(token)), None)
    return "" if strange is None else f"must be of byte symbols; {show(strange)} is not"


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """What makes a tokenizer impossible, as a ConfigError; the library raises bare ``Exception``."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        raise ConfigError([Violation(str(path), rule=f"holds no byte-level BPE: {error}")]) from None


def _byte_level(vocab: dict[str, int], merges: list[Any]) -> Tokenizer:
    from tokenizers import AddedToken, decoders, models, pre_tokenizers
    from tokenizers import Tokenizer as Backend

    backend = Backend(models.BPE(vocab=vocab, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    return Tokenizer(backend)


def files(path: str) -> tuple[Path, Path]:
    """``vocab.json`` and ``merges.txt``, from a folder or, where there is none of that name, from the hub.

    Raises:
        ConfigError: they cannot be fetched.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        vocab, merges = (folder / name for name in FILES)
        return vocab, merges
    from huggingface_hub import hf_hub_download

    try:
        vocab, merges = (Path(hf_hub_download(path, name)) for name in FILES)
    except Exception as error:  # the hub's client raises its own, those of its transport and the system's
        raise ConfigError([not_fetched(path, reason_of(error))]) from None
    return vocab, merges


def not_fetched(path: str, reason: str) -> Violation:
    """A name on the hub that cannot be had, and what to do instead."""
    rule = (
        f"cannot be fetched from the Hugging Face hub ({reason.rstrip('.')}): must be a folder with vocab.json and "
        "merges.txt, or a name that can; tokenizer=bytes needs neither"
    )
    return Violation("tokenizer.path", path, rule, remedy={"tokenizer.path": Blank("FOLDER")})


def problems(config: TokenizerConfig, vocab_size: int) -> list[Violation]:
    """What is wrong with the tokenizer's files, as far as a look at this machine's disk can tell."""
    if config.name == "bytes" or config.path is None:
        return []
    try:
        return _path_problems(config.path, vocab_size)
    except NO_PATH as error:
        return [unreadable("tokenizer.path", config.path, error)]


def _path_problems(path: str, vocab_size: int) -> list[Violation]:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        return _hub_problems(path, folder)
    absent = [name for name in FILES if not (folder / name).is_file()]
    if absent:
        rule = f"must hold vocab.json and merges.txt; there is no {' and no '.join(absent)}"
        return [Violation("tokenizer.path", path, rule)]
    return _vocabulary_problems(path, folder / FILES[0], vocab_size)


def _hub_problems(path: str, folder: Path) -> list[Violation]:
    if folder.exists():
        return [Violation("tokenizer.path", path, "is a file; must be a folder with vocab.json and merges.txt")]
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", path):
        return [Violation("tokenizer.path", path, "there is no such folder; it must hold vocab.json and merges.txt")]
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if not offline:
        return []  # whether the hub can be reached is found out by asking it, once the run begins
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return []
    fetched = all(isinstance(try_to_load_from_cache(path, name), str) for name in FILES)
    return [] if fetched else [not_fetched(path, "HF_HUB_OFFLINE is set, and it was not fetched before")]


def _vocabulary_problems(path: str, vocab: Path, vocab_size: int) -> list[Violation]:
    try:
        symbols, _, problem = vocabulary(vocab)
    except ConfigError as error:
        return [Violation("tokenizer.path", path, f"vocab.json {v.rule}") for v in error.violations]
    merges = vocab.with_name(FILES[1])
    problem = f"vocab.json {problem}" if problem else _merges_problem(vocab, _stamp(vocab), merges, _stamp(merges))
    if problem:
        return [Violation("tokenizer.path", path, problem)]
    if symbols > vocab_size:
        rule = f"must be ≥ {symbols:,}, the symbols of tokenizer.path = {path}"
        return [Violation("model.vocab_size", vocab_size, rule, remedy={"model.vocab_size": symbols})]
    return []


def _stamp(file: Path) -> tuple[int, int]:
    """Size and time of change, which tell a cache that a file is new."""
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=8)
def _merges_problem(vocab: Path, vocab_stamp: tuple[int, int], merges: Path, merges_stamp: tuple[int, int]) -> str:
    """Why ``merges.txt`` does not belong to the vocabulary beside it; empty if it does."""
    known = read_json(vocab, LARGEST_FILE)
    try:
        lines = merges.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError:
        return "merges.txt is not UTF-8"
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#version"):
            continue
        pair = line.split(" ")
        if len(pair) != 2 or not {*pair, "".join(pair)} <= known.keys():
            return f"merges.txt:{number} must be two symbols of vocab.json whose union is one too, not {show(line)}"
    return ""


def vocabulary(file: Path) -> tuple[int, int, str]:
    """Of a ``vocab.json``: the highest id + 1, the bytes of its longest token, and why it is none at all."""
    return _vocabulary(file, _stamp(file))


@functools.lru_cache(maxsize=8)
def _vocabulary(file: Path, stamp: tuple[int, int]) -> tuple[int, int, str]:
    content = read_json(file, LARGEST_FILE)
    if END_OF_TEXT not in content or not all(type(token) is int and token >= 0 for token in content.values()):
        return 0, 0, f"must map text to ids, {END_OF_TEXT} included"
    return max(content.values()) + 1, max(map(len, content)), not_byte_level(content)
