"""The files of a tokenizer, GPT-2's or a Hugging Face folder's: find, download and check them.

The checks need only the standard library: no tokenizer is built.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpt2hydra.config.errors import ConfigError, Violation, io_violation
from gpt2hydra.config.run import TokenizerConfig
from gpt2hydra.config.strict_json import read_json, read_text
from gpt2hydra.utils.formatting import error_reason, format_value
from gpt2hydra.utils.paths import user_path
from gpt2hydra.utils.quoting import Placeholder

END_OF_TEXT = "<|endoftext|>"
FILES = ("vocab.json", "merges.txt")
TOKENIZER_JSON = "tokenizer.json"
MAX_FILE_BYTES = 100_000_000
"""GPT-2's own vocab.json has about a million bytes."""

SECONDS_TO_CONNECT = 5
"""After this time the hub counts as unreachable."""

REQUIRED_FILES = "vocab.json and merges.txt, or tokenizer.json"
"""The files that a folder must have."""


@functools.cache
def char_to_byte() -> dict[str, int]:
    """Return a mapping: character in a vocabulary file → byte.

    Printable bytes are their own characters; the others follow from U+0100 (OpenAI, gpt-2/src/encoder.py).
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + rank): byte for rank, byte in enumerate(others)}


# --------------------------------------------------------------------------------------------------------- reading them


def read_tokenizer_json(folder: Path) -> dict[str, Any]:
    """Return the content of ``tokenizer.json``.

    Raises:
        ConfigError: the file cannot be read, or is not a byte-level BPE.
    """
    content = read_json(folder / TOKENIZER_JSON, MAX_FILE_BYTES)
    decoder, model = content.get("decoder"), content.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(decoder, dict) or decoder.get("type") != "ByteLevel" or not isinstance(vocab, dict):
        raise ConfigError([Violation(str(folder / TOKENIZER_JSON), rule="must be a byte-level BPE, as GPT-2's is")])
    steps = [content.get(step) for step in ("normalizer", "pre_tokenizer", "post_processor", "decoder")]
    problem = byte_level_problem(vocab)
    if not problem and _has_regex(steps):
        problem = "must not have a regular expression of its own, like GPT-2's tokenizer"
    if problem:
        raise ConfigError([Violation(str(folder / TOKENIZER_JSON), rule=problem)])
    return content


def _has_regex(steps: Any) -> bool:
    """Return whether a step has a regular expression, which could run forever or crash the library."""
    if isinstance(steps, dict):
        return "Regex" in steps or any(map(_has_regex, steps.values()))
    return isinstance(steps, list) and any(map(_has_regex, steps))


def read_merges(file: Path) -> list[tuple[int, str]]:
    """Return ``(line number, merge)`` of each merge in ``merges.txt``.

    Raises:
        ConfigError: the file cannot be read, is larger than :data:`MAX_FILE_BYTES`, or is not UTF-8.
    """
    lines = read_text(file, MAX_FILE_BYTES).split("\n")
    return [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#version")]


def byte_level_problem(vocab: Mapping[str, object]) -> str:
    """Return why a vocabulary is not byte-level (lacks a byte, or has another symbol); empty if it is."""
    absent = [character for character in char_to_byte() if character not in vocab]
    if absent:
        return f"must have a symbol for each byte; {len(absent)} of 256 are missing, the first is {format_value(absent[0])}"
    alphabet = set(char_to_byte())
    strange = next((token for token in vocab if token != END_OF_TEXT and not alphabet.issuperset(token)), None)
    return "" if strange is None else f"must have only symbols made of bytes; {format_value(strange)} is not"


def fetch_files(path: str) -> tuple[Path, ...]:
    """Return the files of a folder, as :func:`files_in_folder`; else download vocab.json and merges.txt.

    Raises:
        ConfigError: they cannot be fetched.
    """
    folder = user_path(path)
    if folder.is_dir():
        return files_in_folder(folder)
    fetched = _fetched_before(path)
    if fetched:
        return fetched
    from huggingface_hub import hf_hub_download  # of the extra train, and slow to import

    try:
        _connect_to_hub()  # its client would try for half a minute, and print each attempt
        return tuple(Path(hf_hub_download(path, name)) for name in FILES)
    except Exception as error:  # errors of the hub's client, of its transport and of the system
        raise ConfigError([fetch_violation(path, error_reason(error))]) from None


def _fetched_before(path: str) -> tuple[Path, ...]:
    """Return the files in the hub's cache on this machine; none if one is missing."""
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
        OSError: the hub is unreachable. With a proxy nothing is tried: maybe only the proxy reaches the hub.
    """
    import socket  # these three imports take a tenth of the time of a start
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    from huggingface_hub.constants import ENDPOINT

    address = urlsplit(ENDPOINT)
    if not getproxies():
        port = address.port or (80 if address.scheme == "http" else 443)
        socket.create_connection((str(address.hostname), port), SECONDS_TO_CONNECT).close()


def is_downloaded_by_run(config: TokenizerConfig) -> bool:
    """Return whether the tokenizer is a name on the hub whose files are not on this machine yet."""
    if config.path is None or user_path(config.path).is_dir():
        return False
    return not _fetched_before(config.path)


def files_in_folder(folder: Path) -> tuple[Path, ...]:
    """Return the tokenizer files of a folder: vocab.json and merges.txt, or tokenizer.json if one is missing."""
    two = tuple(folder / name for name in FILES)
    return two if all(file.is_file() for file in two) or not (folder / TOKENIZER_JSON).is_file() else (folder / TOKENIZER_JSON,)


def fetch_violation(path: str, reason: str) -> Violation:
    """Return the violation of a name whose files cannot be fetched, with a remedy."""
    rule = (
        f"cannot be fetched from the Hugging Face hub ({reason.rstrip('.')}): must be a folder with vocab.json and "
        "merges.txt, or another name; tokenizer=bytes needs neither"
    )
    return Violation("tokenizer.path", path, rule, remedy={"tokenizer.path": Placeholder("FOLDER")})


def check_tokenizer(config: TokenizerConfig, vocab_size: int) -> list[Violation]:
    """Check the files of the tokenizer that are on this machine."""
    if config.name == "bytes" or config.path is None:
        return []
    try:
        return _path_problems(config.path, vocab_size)
    except OSError as error:
        return [io_violation("tokenizer.path", config.path, error)]


def _path_problems(path: str, vocab_size: int) -> list[Violation]:
    folder = user_path(path)
    if not folder.is_dir():
        return _hub_problems(path, folder)
    absent = [file.name for file in files_in_folder(folder) if not file.is_file()]
    if absent:
        return [Violation("tokenizer.path", path, f"must hold {REQUIRED_FILES}; there is no {' and no '.join(absent)}")]
    return _vocabulary_problems(path, folder, vocab_size)


def _hub_problems(path: str, folder: Path) -> list[Violation]:
    if folder.exists():
        return [Violation("tokenizer.path", path, f"is a file; must be a folder with {REQUIRED_FILES}")]
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", path):
        return [Violation("tokenizer.path", path, f"there is no such folder; it must hold {REQUIRED_FILES}")]
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if not offline:
        return []  # the run itself will check whether the hub is reachable
    if find_spec("huggingface_hub") is None:
        return []
    return (
        [] if _fetched_before(path) else [fetch_violation(path, "HF_HUB_OFFLINE is set, and the files were not fetched before")]
    )


def _vocabulary_problems(path: str, folder: Path, vocab_size: int) -> list[Violation]:
    try:
        size, _ = vocabulary_stats(folder)
        problem = _merges_problem(folder, tuple(map(_stamp, files_in_folder(folder))))
    except ConfigError as error:
        return [Violation("tokenizer.path", path, f"{Path(v.key).name} {v.rule}") for v in error.violations]
    if problem:
        return [Violation("tokenizer.path", path, problem)]
    if size > vocab_size:
        rule = f"must be ≥ {size:,}, the symbols of tokenizer.path = {path}"
        return [Violation("model.vocab_size", vocab_size, rule, remedy={"model.vocab_size": size})]
    return []


def _stamp(file: Path) -> tuple[str, int, int]:
    """Return name, size and modification time: key of a cache, so a changed file is read again."""
    stat = file.stat()
    return file.name, stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=8)
def _merges_problem(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> str:
    """Return why ``merges.txt`` does not belong to the vocabulary; empty if it does."""
    if len(stamps) < len(FILES):  # tokenizer.json has its own merges, which the library checks
        return ""
    known = read_json(folder / FILES[0], MAX_FILE_BYTES)
    for number, line in read_merges(folder / FILES[1]):
        pair = line.split(" ")
        if len(pair) != 2 or not {*pair, "".join(pair)} <= known.keys():
            return (
                f"merges.txt:{number} must be two symbols of vocab.json that together are a symbol too"
                f", not {format_value(line)}"
            )
    return ""


def vocabulary_stats(folder: Path) -> tuple[int, int]:
    """Return the highest id + 1, and the bytes of the longest token, of the tokenizer in a folder.

    Raises:
        ConfigError: a file does not belong to a byte-level BPE.
    """
    return _vocabulary_stats(folder, tuple(map(_stamp, files_in_folder(folder))))


@functools.lru_cache(maxsize=8)
def _vocabulary_stats(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> tuple[int, int]:
    file = files_in_folder(folder)[0]
    content = read_json(file, MAX_FILE_BYTES) if file.name != TOKENIZER_JSON else _vocabulary(read_tokenizer_json(folder))
    if END_OF_TEXT not in content or not all(type(token) is int and token >= 0 for token in content.values()):
        raise ConfigError([Violation(str(file), rule=f"must map text to ids, {END_OF_TEXT} included")])
    problem = byte_level_problem(content) if file.name != TOKENIZER_JSON else ""
    if problem:
        raise ConfigError([Violation(str(file), rule=problem)])
    return max(content.values()) + 1, max(map(len, content))


def _vocabulary(tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the symbols of the BPE and those added to it, each with its id."""
    added = tokenizer.get("added_tokens")
    named = {each.get("content"): each.get("id") for each in added if isinstance(each, dict)} if isinstance(added, list) else {}
    return {**tokenizer["model"]["vocab"], **named}
