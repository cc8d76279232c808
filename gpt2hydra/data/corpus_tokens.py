"""The tokens of a run, from its text. Imports numpy."""

from __future__ import annotations

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.data import cache, shards, text
from gpt2hydra.data.corpus import not_empty, symbols, texts_for_cache, too_short
from gpt2hydra.data.encoding import Encoder
from gpt2hydra.data.tokens import InMemory, Tokens, TokenSource


def tokens(config: TrainConfig) -> tuple[Tokens, Tokens]:
    """The tokens for training and those for validation: ``data.validation_path``, or the end of each file.

    Raises:
        ConfigError: the text cannot be decoded, is too short, or the tokenizer's files cannot be had.
    """
    if config.data.validation_path is not None:
        return read(config.data.path, config), read(config.data.validation_path, config)
    sources = _sources(config.data.path, config)
    violations = too_short(config, sum(source.count for source in sources))
    if violations:
        raise ConfigError(violations)
    return Tokens.split(sources, config.data.validation_fraction, symbols(config))


def all_tokens(config: TrainConfig, limit: int) -> Tokens:
    """All tokens of ``data.path``; those from ``limit`` on are refused when they are read.

    Raises:
        ConfigError: as :func:`tokens` does.
    """
    return Tokens.of_sources(_sources(config.data.path, config), limit)


def read(path: str | None, config: TrainConfig) -> Tokens:
    """All tokens of one path."""
    return Tokens.of_sources(_sources(path, config), symbols(config))


def _sources(path: str | None, config: TrainConfig) -> list[TokenSource]:
    if path is None:
        return [InMemory(Encoder(config.tokenizer).reference())]
    files = not_empty(text.files(path))
    large = texts_for_cache(path)
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
