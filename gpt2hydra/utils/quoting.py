"""Quote values for Hydra's grammar, and words for bash. Standard library only.

Hydra reads ``a=1,2`` as a sweep, ``a=x(y)`` as a function, ``a=007`` as a number; bash splits at spaces and
interprets ``&``, ``$`` and ``*``. They read the output of :func:`format_override` and :func:`quote_for_bash`
as the original value.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from gpt2hydra.utils.formatting import format_value


class RawOverride(str):
    """The value of an override in Hydra's grammar: ``2,3``, ``${a.b}``. It is not quoted as text."""


class Placeholder(str):
    """A mark for a value that only the user knows: ``...``, ``FOLDER``."""


_PLAIN = re.compile(r"[\w./:@%+-]+", re.ASCII)
_INTERPOLATION = re.compile(r"\$\{[\w.,:/-]+\}")
_NOT_TEXT = re.compile(r"[-+]?[\d._]+(e[-+]?\d+)?|null|true|false|[-+]?inf|nan", re.IGNORECASE)
"""Texts that Hydra's grammar reads as a number, a boolean or null, if they are not quoted."""


def format_override(key: str, value: object) -> str:
    """``key=value`` in Hydra's grammar."""
    return f"{key}={_format_value(value)}"


def _format_value(value: object) -> str:
    if isinstance(value, (RawOverride, Placeholder)):
        return str(value)
    if isinstance(value, str):
        plain = (_PLAIN.fullmatch(value) and not _NOT_TEXT.fullmatch(value)) or _INTERPOLATION.fullmatch(value)
        return value if plain else quote_for_hydra(value, keep_interpolations=True)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_format_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_format_value, value)) + "]"
    return format_value(value)


def quote_for_hydra(text: str, *, keep_interpolations: bool = False) -> str:
    """``text`` in quotes for Hydra, which resolves its ``${...}`` only with ``keep_interpolations``."""
    if not keep_interpolations:
        text = re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + "\\${", text)
    text = re.sub(r"(\\*)'", lambda match: match[1] * 2 + "\\'", text)
    text = re.sub(r"\\+$", lambda match: match[0] * 2, text)
    return f"'{text}'"


def quote_for_bash(word: str) -> str:
    """``word`` quoted, if necessary, so that bash reads it as one word, unchanged."""
    if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII):
        return word
    return shlex.quote(word) if set(word) & set('"$`\\!') else f'"{word}"'
