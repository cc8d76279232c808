"""Tokenize large texts once into files that later runs read, in the cache or for ``gpt2hydra tokenize``.

An entry of the cache is a folder named after the digests of a text file and of the tokenizer. An entry is
complete as soon as it exists. Only one process at a time makes entries: a second one waits and then uses the
entries of the first.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import TokenizerConfig, TrainConfig
from gpt2hydra.data import text, token_files, tokenizer_files
from gpt2hydra.data.file_digest import cache_folder, cached_digest, content_digest
from gpt2hydra.data.token_files import TokenFile
from gpt2hydra.utils.formatting import error_reason
from gpt2hydra.utils.paths import nearest_existing, user_path
from gpt2hydra.utils.verbosity import print_note, shows_progress

if TYPE_CHECKING:
    from gpt2hydra.data.encoding import Encoder, ProgressCallback
    from gpt2hydra.data.tokens import Array

ENTRY_VERSION = "1"
"""Version of the format of an entry; it changes if the same text would give other files."""

# ---------------------------------------------------------------------------------------------------------- the cache


def find_cached(file: Path, config: TrainConfig) -> list[TokenFile] | None:
    """Return the cached token files of a text.

    None if there are none, or if finding them needs the whole text or a download.
    """
    fetched = config.tokenizer.name == "bytes" or user_path(str(config.tokenizer.path)).is_dir()
    digest = cached_digest(file, cache_folder(config.data)) if fetched else None
    return None if digest is None else _load_entry(_entry(digest, config))


def _entry(digest_of_text: str, config: TrainConfig) -> Path:
    name = f"{config.tokenizer.name}{_tokenizer_digest(config.tokenizer)}"
    return cache_folder(config.data) / "tokens" / f"{digest_of_text}-{name}-{ENTRY_VERSION}"


def _load_entry(place: Path) -> list[TokenFile] | None:
    """Return the token files of an entry; None if it does not exist or is damaged."""
    try:
        return [token_files.recognise(file) for file in sorted(place.glob(f"*{token_files.SUFFIX}"))] or None
    except (OSError, token_files.NotTokenFile):
        return None


def tokenize_files(files: Sequence[Path], config: TrainConfig) -> list[list[TokenFile]]:
    """Return the token files of each text file; tokenize the texts that are not in the cache.

    Raises:
        ConfigError: a text is not UTF-8, or the cache cannot be written.
    """
    places = [_entry(content_digest(file, cache_folder(config.data)), config) for file in files]
    if any(_load_entry(place) is None for place in places):
        with _locked(cache_folder(config.data)):
            absent = {place: file for place, file in zip(places, files, strict=True) if _load_entry(place) is None}
            if absent:
                _tokenize_into_cache(absent, config)
    return [_load_entry(place) or [] for place in places]


def check_cache(files: Sequence[Path], config: TrainConfig) -> list[Violation]:
    """Return a violation if entries are missing and the cache cannot be written or the disk is too full."""
    absent = [file for file in files if find_cached(file, config) is None]
    if not absent:
        return []
    place = cache_folder(config.data)
    existing = nearest_existing(place)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return [_unwritable(place, f"{existing} is a file" if existing.is_file() else f"no permission to write in {existing}")]
    tokens = sum(text.size(file)[0] for file in absent)  # upper bound: a token for each byte
    needed = 2 * tokens if config.tokenizer.name == "bytes" else tokens
    free = shutil.disk_usage(existing).free
    return [_unwritable(place, f"{needed / 1e9:,.1f} GB are needed and {free / 1e9:,.1f} are free")] if free < needed else []


def _unwritable(place: Path, reason: object) -> Violation:
    rule = f"must be a folder that can be written, for the tokens of a large text ({reason})"
    return Violation("data.cache_dir", str(place), rule)


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Context manager: only one process at a time. The lock ends with its process, even if that is killed."""
    from filelock import FileLock, Timeout  # only in the extra train: a plan does not need it

    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            print_note(f"waiting for another process that tokenizes into {place}")
            lock.acquire(timeout=-1)
    except OSError as error:
        raise ConfigError([_unwritable(place, error_reason(error))]) from None
    try:
        yield
    finally:
        lock.release()


def _tokenize_into_cache(absent: dict[Path, Path], config: TrainConfig) -> None:
    """Tokenize each file into its entry. First remove unfinished entries of killed processes."""
    from gpt2hydra.data.encoding import Encoder  # numpy, which is not needed to search the cache

    encoder, place = Encoder(config.tokenizer), cache_folder(config.data)
    for leftover in (place / "tokens").glob(".unfinished-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for target in absent:
        shutil.rmtree(target, ignore_errors=True)  # it is damaged or does not exist
    with progress_bar(list(absent.values()), place) as progress:
        for target, file in absent.items():
            unfinished = target.with_name(f".unfinished-{target.name}")
            try:
                unfinished.mkdir(parents=True)
                write_token_files(encoder, file, unfinished / "tokens", progress)
                unfinished.rename(target)
            except OSError as error:
                raise ConfigError([_unwritable(place, error_reason(error))]) from None
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def progress_bar(files: Sequence[Path], place: Path) -> Iterator[ProgressCallback]:
    """Context manager: show a progress bar if a terminal shows it, and print a line at the end."""
    from tqdm import tqdm  # type: ignore[import-untyped]  # of the extra train

    total, started = sum(text.size(file)[0] for file in files), time.perf_counter()
    print_note(f"tokenizing {total / 1e6:,.1f} MB of text once into {place}")
    shown = tqdm(total=total, unit="B", unit_scale=True, file=sys.stderr, disable=not shows_progress(), leave=False)
    with shown:
        yield shown.update
    print_note(f"tokenized in {time.perf_counter() - started:,.0f} s")


# ---------------------------------------------------------------------------------------------------------- the files


def write_token_files(encoder: Encoder, file: Path, target: Path, progress: ProgressCallback) -> list[Path]:
    """Tokenize one file into ``target.bin``; above ``token_files.MAX_TOKENS`` tokens into
    ``target-0001.bin``, ...

    Raises:
        ConfigError: the file is not UTF-8, or has no text.
        OSError: a file cannot be written.
    """
    written: list[Path] = []
    arrays = encoder.tokens(file, progress)
    rest = next(arrays, None)
    if rest is None:
        raise ConfigError([Violation(str(file), rule="holds no text")])
    while rest is not None:
        written.append(target.with_name(f"{target.name}-{len(written) + 1:04}{token_files.SUFFIX}"))
        rest = _write_one(written[-1], rest, arrays, encoder.dtype.itemsize)
    return written if len(written) > 1 else [written[0].rename(target.with_name(target.name + token_files.SUFFIX))]


def _write_one(path: Path, array: Array | None, arrays: Iterator[Array], width: int) -> Array | None:
    """Write ``array``, then ``arrays``, until the file is full; return the rest of the last array, or None."""
    count = 0
    with path.open("wb") as stream:
        stream.write(token_files.header(0, width))
        while array is not None:
            part, array = array[: token_files.MAX_TOKENS - count], array[token_files.MAX_TOKENS - count :]
            stream.write(part.tobytes())
            count += len(part)
            if len(array):
                break
            array = next(arrays, None)
        stream.seek(0)
        stream.write(token_files.header(count, width))
        stream.flush()
        os.fsync(stream.fileno())
    return array


def _tokenizer_digest(config: TokenizerConfig) -> str:
    if config.name == "bytes":
        return ""
    content = hashlib.blake2b(digest_size=8)
    for file in tokenizer_files.fetch_files(str(config.path)):
        content.update(file.read_bytes())
    return f"-{content.hexdigest()}"
