"""Files that are not trusted, a checkpoint's for one: text, and JSON. Standard library only.

It stands in config/, not in utils/: what is wrong with a file is a violation, which ten callers report as it
is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.utils.formatting import reason_of, show


def read_text(file: Path, largest: int) -> str:
    """The text of a file that is not trusted.

    Raises:
        ConfigError: it cannot be read, is larger than ``largest`` bytes, or is not UTF-8.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(largest + 1)
        if len(content) <= largest:
            return content.decode("utf-8")
        rule = f"is larger than {largest:,} bytes"
    except FileNotFoundError:
        rule = "there is no such file"
    except OSError as error:
        rule = f"cannot be read: {reason_of(error)}"
    except UnicodeDecodeError:
        rule = "is not UTF-8"
    raise ConfigError([Violation(str(file), rule=rule)])


def read_json(file: Path, largest: int) -> dict[str, Any]:
    """A JSON object from a file that is not trusted.

    Raises:
        ConfigError: as :func:`read_text` does; it repeats a key, holds NaN, Infinity or an integer beyond 64
            bits, or is no JSON object.
    """
    text = read_text(file, largest)
    try:
        parsed = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_finite_only, parse_int=_int64)
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
    """JSON that is well-formed and still refused."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Refused(f"gives {show(repeated)} twice")
    return result


def _finite_only(constant: str) -> float:
    raise _Refused(f"holds {constant}, which is no JSON number")


def _int64(digits: str) -> int:
    if len(digits) > 20:
        raise _Refused(f"holds an integer of {len(digits):,} digits")
    return int(digits)
