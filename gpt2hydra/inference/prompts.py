"""The prompts of ``generate.py``: one from the command line, or many from a file. Standard library only."""

from __future__ import annotations

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import GenerateConfig
from gpt2hydra.utils.formatting import error_reason
from gpt2hydra.utils.paths import user_path

MAX_FILE_BYTES = 100_000_000
"""A larger file has more prompts than a user waits for."""


def read_prompts(config: GenerateConfig) -> list[str]:
    """Return ``prompt``, or each line of ``prompt_file`` that is not empty.

    Raises:
        ConfigError: the file cannot be read, or holds no prompt.
    """
    if config.prompt_file is None:
        return [config.prompt]
    try:
        file = user_path(config.prompt_file)
        if not file.is_file():
            raise _prompt_file_error(config, "must be a file" if file.exists() else "there is no such file")
        if file.stat().st_size > MAX_FILE_BYTES:
            raise _prompt_file_error(config, f"is larger than {MAX_FILE_BYTES:,} bytes")
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise _prompt_file_error(config, f"must be UTF-8; byte {error.start:,} is not") from None
    except OSError as error:
        raise _prompt_file_error(config, f"cannot be read: {error_reason(error)}") from None
    found = [line.removesuffix("\r") for line in lines if line.strip()]
    if not found:
        raise _prompt_file_error(config, "holds no prompt; each line is one")
    return found


def check_prompts(config: GenerateConfig) -> list[Violation]:
    """Return the violations of the prompts."""
    try:
        read_prompts(config)
    except ConfigError as error:
        return list(error.violations)
    return []


def _prompt_file_error(config: GenerateConfig, rule: str) -> ConfigError:
    return ConfigError([Violation("prompt_file", config.prompt_file, rule)])
