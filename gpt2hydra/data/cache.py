"""Large texts, tokenized once into files that later runs read: in a cache, or where ``gpt2hydra tokenize`` writes.

An entry of the cache is a folder named after the content of a text file and of the tokenizer. It appears
complete or not at all, and one process at a time makes them: a second one waits, and finds what the first one
made.
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
from gpt2hydra.data import shards, text, tokenizer_files
from gpt2hydra.data.file_digest import cache_folder, digest, remembered_digest
from gpt2hydra.data.shards import Shard
from gpt2hydra.utils.formatting import reason_of
from gpt2hydra.utils.paths import nearest_existing, user_path
from gpt2hydra.utils.verbosity import note, shows_progress

if TYPE_CHECKING:
    from gpt2hydra.data.encoding import Encoder, Progress
    from gpt2hydra.data.tokens import Array

LAYOUT = "1"
"""Of an entry; another number when the same text would become other files."""

# ---------------------------------------------------------------------------------------------------------- the cache


def known(file: Path, config: TrainConfig) -> list[Shard] | None:
    """The token files of a text, as far as that is known without reading the text or fetching a tokenizer; else None."""
    fetched = config.tokenizer.name == "bytes" or user_path(str(config.tokenizer.path)).is_dir()
    known_digest = remembered_digest(file, cache_folder(config.data)) if fetched else None
    return None if known_digest is None else _found(_entry(known_digest, config))


def _entry(digest_of_text: str, config: TrainConfig) -> Path:
    name = f"{config.tokenizer.name}{_tokenizer_digest(config.tokenizer)}"
    return cache_folder(config.data) / "tokens" / f"{digest_of_text}-{name}-{LAYOUT}"


def _found(place: Path) -> list[Shard] | None:
    """The token files of an entry; None if it is not there, or damaged."""
    try:
        return [shards.recognise(file) for file in sorted(place.glob(f"*{shards.SUFFIX}"))] or None
    except (OSError, shards.NotTokens):
        return None


def tokenized(files: Sequence[Path], config: TrainConfig) -> list[list[Shard]]:
    """The token files of each text file, made where the cache has none yet.

    Raises:
        ConfigError: a text is not UTF-8, or the cache cannot be written.
    """
    places = [_entry(digest(file, cache_folder(config.data)), config) for file in files]
    if any(_found(place) is None for place in places):
        with _locked(cache_folder(config.data)):
            absent = {place: file for place, file in zip(places, files, strict=True) if _found(place) is None}
            if absent:
                _make(absent, config)
    return [_found(place) or [] for place in places]


def check_cache(files: Sequence[Path], config: TrainConfig) -> list[Violation]:
    """Why what is absent could not be written into the cache."""
    absent = [file for file in files if known(file, config) is None]
    if not absent:
        return []
    place = cache_folder(config.data)
    existing = nearest_existing(place)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return [_unwritable(place, f"{existing} is a file" if existing.is_file() else f"no permission to write in {existing}")]
    tokens = sum(text.size(file)[0] for file in absent)  # at the most, for bytes
    needed = 2 * tokens if config.tokenizer.name == "bytes" else tokens
    free = shutil.disk_usage(existing).free
    return [_unwritable(place, f"{needed / 1e9:,.1f} GB are needed and {free / 1e9:,.1f} are free")] if free < needed else []


def _unwritable(place: Path, reason: object) -> Violation:
    rule = f"must be a folder that can be written, for the tokens of a large text ({reason})"
    return Violation("data.cache_dir", str(place), rule)


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """One process at a time; the lock ends with its process, however that ends."""
    from filelock import FileLock, Timeout  # of the extra train: a plan does without

    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            note(f"waiting for another process, which tokenizes into {place}")
            lock.acquire(timeout=-1)
    except OSError as error:
        raise ConfigError([_unwritable(place, reason_of(error))]) from None
    try:
        yield
    finally:
        lock.release()


def _make(absent: dict[Path, Path], config: TrainConfig) -> None:
    """Tokenize files, each into its entry. What a killed process left unfinished is removed first."""
    from gpt2hydra.data.encoding import Encoder  # numpy, which a look into the cache does without

    encoder, place = Encoder(config.tokenizer), cache_folder(config.data)
    for leftover in (place / "tokens").glob(".unfinished-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for target in absent:
        shutil.rmtree(target, ignore_errors=True)  # damaged, or not there
    with bar(list(absent.values()), place) as progress:
        for target, file in absent.items():
            unfinished = target.with_name(f".unfinished-{target.name}")
            try:
                unfinished.mkdir(parents=True)
                write(encoder, file, unfinished / "tokens", progress)
                unfinished.rename(target)
            except OSError as error:
                raise ConfigError([_unwritable(place, reason_of(error))]) from None
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def bar(files: Sequence[Path], place: Path) -> Iterator[Progress]:
    """How much of the text is done, where a terminal shows it, and a line at the end."""
    from tqdm import tqdm  # type: ignore[import-untyped]  # of the extra train

    total, started = sum(text.size(file)[0] for file in files), time.perf_counter()
    note(f"tokenizing {total / 1e6:,.1f} MB of text, once, into {place}")
    shown = tqdm(total=total, unit="B", unit_scale=True, file=sys.stderr, disable=not shows_progress(), leave=False)
    with shown:
        yield shown.update
    note(f"tokenized in {time.perf_counter() - started:,.0f} s")


# ---------------------------------------------------------------------------------------------------------- the files


def write(encoder: Encoder, file: Path, target: Path, progress: Progress) -> list[Path]:
    """Tokenize one file into ``target.bin``, or ``target-0001.bin`` and so on where there are more than ``shards.MOST`` tokens.

    Raises:
        ConfigError: it is not UTF-8, or holds no text.
        OSError: the disk is full, or the like.
    """
    written: list[Path] = []
    arrays = encoder.tokens(file, progress)
    rest = next(arrays, None)
    if rest is None:
        raise ConfigError([Violation(str(file), rule="holds no text")])
    while rest is not None:
        written.append(target.with_name(f"{target.name}-{len(written) + 1:04}{shards.SUFFIX}"))
        rest = _write_one(written[-1], rest, arrays, encoder.dtype.itemsize)
    return written if len(written) > 1 else [written[0].rename(target.with_name(target.name + shards.SUFFIX))]


def _write_one(path: Path, array: Array | None, arrays: Iterator[Array], width: int) -> Array | None:
    """Write ``array``, and ``arrays`` as long as the file has space; what is left of the last one, or None at the end."""
    count = 0
    with path.open("wb") as stream:
        stream.write(shards.header(0, width))
        while array is not None:
            part, array = array[: shards.MOST - count], array[shards.MOST - count :]
            stream.write(part.tobytes())
            count += len(part)
            if len(array):
                break
            array = next(arrays, None)
        stream.seek(0)
        stream.write(shards.header(count, width))
        stream.flush()
        os.fsync(stream.fileno())
    return array


def _tokenizer_digest(config: TokenizerConfig) -> str:
    if config.name == "bytes":
        return ""
    content = hashlib.blake2b(digest_size=8)
    for file in tokenizer_files.files(str(config.path)):
        content.update(file.read_bytes())
    return f"-{content.hexdigest()}"
