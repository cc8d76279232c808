"""Load the tokens of a run from its text. Imports numpy."""

from __future__ import annotations

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.data import cache, text, token_files
from gpt2hydra.data.corpus import check_split, nonempty_files, texts_for_cache, vocabulary_size
from gpt2hydra.data.encoding import Encoder
from gpt2hydra.data.tokens import InMemory, Tokens, TokenSource


def load_tokens(config: TrainConfig) -> tuple[Tokens, Tokens]:
    """Return the tokens for training and those for validation: the end of each file, or another path.

    Raises:
        ConfigError: the text cannot be decoded or is too short, or the tokenizer cannot be fetched.
    """
    if config.data.validation_path is not None:
        return load_path_tokens(config.data.path, config), load_path_tokens(config.data.validation_path, config)
    sources = _sources(config.data.path, config)
    violations = check_split(config, sum(source.count for source in sources))
    if violations:
        raise ConfigError(violations)
    return Tokens.split(sources, config.data.validation_fraction, vocabulary_size(config))


def load_all_tokens(config: TrainConfig, limit: int) -> Tokens:
    """Return all tokens of ``data.path``; to read one that is not below ``limit`` raises an error.

    Raises:
        ConfigError: as :func:`load_tokens` does.
    """
    return Tokens.of_sources(_sources(config.data.path, config), limit)


def load_path_tokens(path: str | None, config: TrainConfig) -> Tokens:
    """Return all tokens of one path."""
    return Tokens.of_sources(_sources(path, config), vocabulary_size(config))


def _sources(path: str | None, config: TrainConfig) -> list[TokenSource]:
    if path is None:
        return [InMemory(Encoder(config.tokenizer).reference())]
    files = nonempty_files(text.files(path))
    large = texts_for_cache(path)
    cached = dict(zip(large, cache.tokenize_files(large, config), strict=True))
    small = {file for file in files if file.suffix != token_files.SUFFIX and file not in cached}
    encoder = Encoder(config.tokenizer) if small else None
    sources: list[TokenSource] = []
    for file in files:
        if file in cached:
            sources += cached[file]
        elif encoder is not None and file in small:
            sources.append(InMemory.concatenate(encoder.tokens(file)))
        else:
            sources.append(token_files.recognise(file))
    return sources
