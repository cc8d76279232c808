"""Values as they are typed: in Hydra's grammar, and then in bash. Standard library only.

Hydra reads ``a=1,2`` as a sweep, ``a=x(y)`` as a function, ``a=007`` as a number; bash splits at spaces and
takes ``&``, ``$`` and ``*`` for itself. What :func:`override` and :func:`for_bash` make is read by both as
the value that it stands for.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from gpt2hydra.utils.formatting import show


class RawOverride(str):
    """The value of an override as it is typed in Hydra's grammar: ``2,3``, ``${a.b}``. It is not quoted as text would be."""


class Placeholder(str):
    """What stands where only the user knows the value: ``...``, ``FOLDER``."""


_PLAIN = re.compile(r"[\w./:@%+-]+", re.ASCII)
_INTERPOLATION = re.compile(r"\$\{[\w.,:/-]+\}")
_NO_TEXT = re.compile(r"[-+]?[\d._]+(e[-+]?\d+)?|null|true|false|[-+]?inf|nan", re.IGNORECASE)
"""What Hydra's grammar takes for a number, a truth or null, where it has no quotes."""


def override(key: str, value: object) -> str:
    """``key=value`` in Hydra's grammar."""
    return f"{key}={_value(value)}"


def _value(value: object) -> str:
    if isinstance(value, (RawOverride, Placeholder)):
        return str(value)
    if isinstance(value, str):
        plain = (_PLAIN.fullmatch(value) and not _NO_TEXT.fullmatch(value)) or _INTERPOLATION.fullmatch(value)
        return value if plain else quoted(value, resolved=True)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_value, value)) + "]"
    return show(value)


def quoted(text: str, *, resolved: bool = False) -> str:
    """``text`` as a quoted string of Hydra's grammar that stands for itself; ``resolved``: but for ``${...}``."""
    if not resolved:
        text = re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + "\\${", text)
    text = re.sub(r"(\\*)'", lambda match: match[1] * 2 + "\\'", text)
    text = re.sub(r"\\+$", lambda match: match[0] * 2, text)
    return f"'{text}'"


def for_bash(word: str) -> str:
    """``word`` as bash takes it for one word that stands for itself."""
    if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII):
        return word
    return shlex.quote(word) if set(word) & set('"$`\\!') else f'"{word}"'
