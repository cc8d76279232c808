"""Read text and JSON files that are not trusted, such as a checkpoint's. Standard library only.

The module is in config/, not in utils/, because it raises ConfigError.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.utils.formatting import error_reason, format_value


def read_text(file: Path, max_bytes: int) -> str:
    """The text in a file that is not trusted.

    Raises:
        ConfigError: the file cannot be read, is larger than ``max_bytes`` bytes, or is not UTF-8.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(max_bytes + 1)
        if len(content) <= max_bytes:
            return content.decode("utf-8")
        rule = f"is larger than {max_bytes:,} bytes"
    except FileNotFoundError:
        rule = "there is no such file"
    except OSError as error:
        rule = f"cannot be read: {error_reason(error)}"
    except UnicodeDecodeError:
        rule = "is not UTF-8"
    raise ConfigError([Violation(str(file), rule=rule)])


def read_json(file: Path, max_bytes: int) -> dict[str, Any]:
    """The JSON object in a file that is not trusted.

    Raises:
        ConfigError: as :func:`read_text`; or the file repeats a key, holds NaN, Infinity or an integer of
            more than 20 digits, or is no JSON object.
    """
    text = read_text(file, max_bytes)
    try:
        parsed = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_int=_parse_integer)
    except _Refused as refused:
        rule = str(refused)
    except json.JSONDecodeError as error:
        rule = f"is not JSON: {error}"
    except RecursionError:
        rule = "is nested too deeply"
    else:
        if isinstance(parsed, dict):
            return parsed
        rule = "must be a JSON object"
    raise ConfigError([Violation(str(file), rule=rule)])


class _Refused(Exception):
    """JSON that is well-formed and still not accepted."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Refused(f"has the key {format_value(repeated)} twice")
    return result


def _refuse_constant(constant: str) -> float:
    raise _Refused(f"holds {constant}, which is no JSON number")


def _parse_integer(digits: str) -> int:
    if len(digits) > 20:
        raise _Refused(f"holds an integer of {len(digits):,} digits")
    return int(digits)
