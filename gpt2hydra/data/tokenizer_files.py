"""The files of a tokenizer, GPT-2's or a Hugging Face folder's: where they are, and what can be wrong with them.

Standard library only: no tokenizer is built to look at its files.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpt2hydra.config.errors import ConfigError, Violation, unreadable
from gpt2hydra.config.run import TokenizerConfig
from gpt2hydra.config.strict_json import read_json, read_text
from gpt2hydra.utils.formatting import reason_of, show
from gpt2hydra.utils.paths import user_path
from gpt2hydra.utils.quoting import Placeholder

END_OF_TEXT = "<|endoftext|>"
FILES = ("vocab.json", "merges.txt")
TOKENIZER_JSON = "tokenizer.json"
LARGEST_FILE = 100_000_000
"""Bytes; GPT-2's own vocab.json has about a million."""

SECONDS_TO_CONNECT = 5
"""After which the hub counts as out of reach."""

HOLDS = "vocab.json and merges.txt, or tokenizer.json"
"""What a folder must hold."""


@functools.cache
def byte_of() -> dict[str, int]:
    """Character in a vocabulary file → the byte it stands for.

    Printable bytes stand for themselves; the others, in order, are U+0100 onwards (OpenAI,
    gpt-2/src/encoder.py).
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + rank): byte for rank, byte in enumerate(others)}


# --------------------------------------------------------------------------------------------------------- reading them


def read_tokenizer_json(folder: Path) -> dict[str, Any]:
    """The content of ``tokenizer.json``.

    Raises:
        ConfigError: it cannot be read, or is no byte-level BPE.
    """
    content = read_json(folder / TOKENIZER_JSON, LARGEST_FILE)
    decoder, model = content.get("decoder"), content.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(decoder, dict) or decoder.get("type") != "ByteLevel" or not isinstance(vocab, dict):
        raise ConfigError([Violation(str(folder / TOKENIZER_JSON), rule="must be a byte-level BPE, as GPT-2's is")])
    steps = [content.get(step) for step in ("normalizer", "pre_tokenizer", "post_processor", "decoder")]
    problem = not_byte_level(vocab)
    if not problem and _has_regex(steps):
        problem = "has a regular expression of its own; GPT-2's tokenizer has none"
    if problem:
        raise ConfigError([Violation(str(folder / TOKENIZER_JSON), rule=problem)])
    return content


def _has_regex(steps: Any) -> bool:
    """Whether a step brings a regular expression, which may take forever or crash the library that runs it."""
    if isinstance(steps, dict):
        return "Regex" in steps or any(map(_has_regex, steps.values()))
    return isinstance(steps, list) and any(map(_has_regex, steps))


def read_merges(file: Path) -> list[tuple[int, str]]:
    """The merges in ``merges.txt``, each with the number of its line.

    Raises:
        ConfigError: it cannot be read, is larger than :data:`LARGEST_FILE`, or is not UTF-8.
    """
    lines = read_text(file, LARGEST_FILE).split("\n")
    return [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#version")]


def not_byte_level(vocab: Mapping[str, object]) -> str:
    """Why a vocabulary does not stand for bytes: it lacks one, or has a symbol of something else. Empty if it does."""
    absent = [character for character in byte_of() if character not in vocab]
    if absent:
        return f"must have a symbol for each byte; {len(absent)} of 256 are absent, {show(absent[0])} is the first"
    alphabet = set(byte_of())
    strange = next((token for token in vocab if token != END_OF_TEXT and not alphabet.issuperset(token)), None)
    return "" if strange is None else f"must be of byte symbols; {show(strange)} is not"


def files(path: str) -> tuple[Path, ...]:
    """``vocab.json`` and ``merges.txt``, or ``tokenizer.json`` alone, from a folder; where there is none, the two from the hub.

    Raises:
        ConfigError: they cannot be fetched.
    """
    folder = user_path(path)
    if folder.is_dir():
        return in_folder(folder)
    fetched = _fetched_before(path)
    if fetched:
        return fetched
    from huggingface_hub import hf_hub_download  # of the extra train, and slow to import

    try:
        _connect_to_hub()  # its client would try for half a minute, and print each attempt
        return tuple(Path(hf_hub_download(path, name)) for name in FILES)
    except Exception as error:  # the hub's client raises its own, those of its transport and the system's
        raise ConfigError([not_fetched(path, reason_of(error))]) from None


def _fetched_before(path: str) -> tuple[Path, ...]:
    """The files in the hub's own cache on this machine; nothing where one is absent."""
    try:
        from huggingface_hub import try_to_load_from_cache  # of the extra train
    except ImportError:
        return ()
    found = [try_to_load_from_cache(path, name) for name in FILES]
    files_found = tuple(Path(file) for file in found if isinstance(file, str))
    return files_found if len(files_found) == len(FILES) else ()


def _connect_to_hub() -> None:
    """Open a connection to the hub, and close it.

    Raises:
        OSError: it cannot be reached. Nothing is tried where a proxy is set, which alone may reach it.
    """
    import socket  # these take a tenth of the time of every other start
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    from huggingface_hub.constants import ENDPOINT

    address = urlsplit(ENDPOINT)
    if not getproxies():
        port = address.port or (80 if address.scheme == "http" else 443)
        socket.create_connection((str(address.hostname), port), SECONDS_TO_CONNECT).close()


def is_downloaded_by_run(config: TokenizerConfig) -> bool:
    """Whether the tokenizer is a name on the hub whose files are not on this machine yet."""
    if config.path is None or user_path(config.path).is_dir():
        return False
    return not _fetched_before(config.path)


def in_folder(folder: Path) -> tuple[Path, ...]:
    """The files of the tokenizer in a folder; those that should be there if there are none."""
    two = tuple(folder / name for name in FILES)
    return two if all(file.is_file() for file in two) or not (folder / TOKENIZER_JSON).is_file() else (folder / TOKENIZER_JSON,)


def not_fetched(path: str, reason: str) -> Violation:
    """A name on the hub that cannot be had, and what to do instead."""
    rule = (
        f"cannot be fetched from the Hugging Face hub ({reason.rstrip('.')}): must be a folder with vocab.json and "
        "merges.txt, or a name that can; tokenizer=bytes needs neither"
    )
    return Violation("tokenizer.path", path, rule, remedy={"tokenizer.path": Placeholder("FOLDER")})


def check_tokenizer(config: TokenizerConfig, vocab_size: int) -> list[Violation]:
    """What is wrong with the tokenizer's files, as far as a look at this machine's disk can tell."""
    if config.name == "bytes" or config.path is None:
        return []
    try:
        return _path_problems(config.path, vocab_size)
    except OSError as error:
        return [unreadable("tokenizer.path", config.path, error)]


def _path_problems(path: str, vocab_size: int) -> list[Violation]:
    folder = user_path(path)
    if not folder.is_dir():
        return _hub_problems(path, folder)
    absent = [file.name for file in in_folder(folder) if not file.is_file()]
    if absent:
        return [Violation("tokenizer.path", path, f"must hold {HOLDS}; there is no {' and no '.join(absent)}")]
    return _vocabulary_problems(path, folder, vocab_size)


def _hub_problems(path: str, folder: Path) -> list[Violation]:
    if folder.exists():
        return [Violation("tokenizer.path", path, f"is a file; must be a folder with {HOLDS}")]
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", path):
        return [Violation("tokenizer.path", path, f"there is no such folder; it must hold {HOLDS}")]
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if not offline:
        return []  # whether the hub can be reached is found out by asking it, once the run begins
    if find_spec("huggingface_hub") is None:
        return []
    return [] if _fetched_before(path) else [not_fetched(path, "HF_HUB_OFFLINE is set, and it was not fetched before")]


def _vocabulary_problems(path: str, folder: Path, vocab_size: int) -> list[Violation]:
    try:
        size, _ = symbols(folder)
        problem = _merges_problem(folder, tuple(map(_stamp, in_folder(folder))))
    except ConfigError as error:
        return [Violation("tokenizer.path", path, f"{Path(v.key).name} {v.rule}") for v in error.violations]
    if problem:
        return [Violation("tokenizer.path", path, problem)]
    if size > vocab_size:
        rule = f"must be ≥ {size:,}, the symbols of tokenizer.path = {path}"
        return [Violation("model.vocab_size", vocab_size, rule, remedy={"model.vocab_size": size})]
    return []


def _stamp(file: Path) -> tuple[str, int, int]:
    """Name, size and time of change, which tell a cache that a file is new."""
    stat = file.stat()
    return file.name, stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=8)
def _merges_problem(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> str:
    """Why ``merges.txt`` does not belong to the vocabulary; empty if it does."""
    if len(stamps) < len(FILES):  # tokenizer.json has its own, which the library checks
        return ""
    known = read_json(folder / FILES[0], LARGEST_FILE)
    for number, line in read_merges(folder / FILES[1]):
        pair = line.split(" ")
        if len(pair) != 2 or not {*pair, "".join(pair)} <= known.keys():
            return f"merges.txt:{number} must be two symbols of vocab.json whose union is one too, not {show(line)}"
    return ""


def symbols(folder: Path) -> tuple[int, int]:
    """Of the tokenizer in a folder: the highest id + 1, and the bytes of its longest token.

    Raises:
        ConfigError: naming the file that is not one of a byte-level BPE.
    """
    return _symbols(folder, tuple(map(_stamp, in_folder(folder))))


@functools.lru_cache(maxsize=8)
def _symbols(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> tuple[int, int]:
    file = in_folder(folder)[0]
    content = read_json(file, LARGEST_FILE) if file.name != TOKENIZER_JSON else _all_symbols(read_tokenizer_json(folder))
    if END_OF_TEXT not in content or not all(type(token) is int and token >= 0 for token in content.values()):
        raise ConfigError([Violation(str(file), rule=f"must map text to ids, {END_OF_TEXT} included")])
    problem = not_byte_level(content) if file.name != TOKENIZER_JSON else ""
    if problem:
        raise ConfigError([Violation(str(file), rule=problem)])
    return max(content.values()) + 1, max(map(len, content))


def _all_symbols(tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the BPE, and those that were added to it."""
    added = tokenizer.get("added_tokens")
    named = {each.get("content"): each.get("id") for each in added if isinstance(each, dict)} if isinstance(added, list) else {}
    return {**tokenizer["model"]["vocab"], **named}
