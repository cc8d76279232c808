"""The prompts of ``generate.py``: one from the command line, or many from a file. Standard library only."""

from __future__ import annotations

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import GenerateConfig
from gpt2hydra.utils.formatting import reason_of
from gpt2hydra.utils.paths import user_path

LARGEST_FILE = 100_000_000
"""Bytes; far more prompts than anybody waits for."""


def prompts(config: GenerateConfig) -> list[str]:
    """``prompt``, or each line of ``prompt_file`` that is not empty.

    Raises:
        ConfigError: the file cannot be read, or holds no prompt.
    """
    if config.prompt_file is None:
        return [config.prompt]
    try:
        file = user_path(config.prompt_file)
        if not file.is_file():
            raise _refused(config, "must be a file" if file.exists() else "there is no such file")
        if file.stat().st_size > LARGEST_FILE:
            raise _refused(config, f"is larger than {LARGEST_FILE:,} bytes")
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise _refused(config, f"must be UTF-8; byte {error.start:,} is not") from None
    except OSError as error:
        raise _refused(config, f"cannot be read: {reason_of(error)}") from None
    found = [line.removesuffix("\r") for line in lines if line.strip()]
    if not found:
        raise _refused(config, "holds no prompt; each line is one")
    return found


def check_prompts(config: GenerateConfig) -> list[Violation]:
    """What is wrong with the prompts."""
    try:
        prompts(config)
    except ConfigError as error:
        return list(error.violations)
    return []


def _refused(config: GenerateConfig, rule: str) -> ConfigError:
    return ConfigError([Violation("prompt_file", config.prompt_file, rule)])
