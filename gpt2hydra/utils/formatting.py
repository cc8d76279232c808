"""Format values and names for messages. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any


def format_value(value: object, width: int = 80) -> str:
    """A value as a user would type it in YAML, on one line of at most ``width`` characters."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int) and value.bit_length() > 128:  # str() itself refuses more than 4,300 digits
        return f"an integer of about {int(value.bit_length() * math.log10(2)) + 1:,} digits"
    text = value if isinstance(value, str) else repr(value)
    if isinstance(value, str) and (not text or text != text.strip() or not text.isprintable()):
        text = repr(text)
    return text if len(text) <= width else f"{text[: width - 20]}... ({len(text):,} characters)"


def error_reason(error: BaseException) -> str:
    """The reason of an error: the system's text, the first line of the message, or the name of the class."""
    message = str(getattr(error, "strerror", None) or error).strip()
    return (message.splitlines() or [type(error).__name__])[0]


def to_jsonable(value: object) -> Any:
    """A value in JSON's types. Others (NaN, huge integers, objects) become text, as :func:`format_value`."""
    if isinstance(value, Mapping):
        return {str(key): to_jsonable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(each) for each in value]
    if isinstance(value, str):
        return str(value)
    fits = (isinstance(value, float) and math.isfinite(value)) or (isinstance(value, int) and value.bit_length() <= 128)
    return value if value is None or fits else format_value(value)


def escape_unprintable(text: str) -> str:
    """``text`` with unprintable characters escaped, so that an untrusted name cannot forge a line."""
    return text if text.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def format_number(value: float) -> str:
    """``10000`` → ``10,000``; a float without unnecessary digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def pluralize(number: int, noun: str) -> str:
    """``1 problem``, ``2 problems``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_bytes(count: float) -> str:
    """A number of bytes in the largest suitable unit: ``1.56 GB``, ``807.00 kB``."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} B"


def abbreviate_number(number: int) -> str:
    """A large number in three digits: ``257``, ``807k``, ``10.8M``, ``124M``, ``1.56B``."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= 0.9995 * size:
            value = number / size
            return f"{value:,.0f}{unit}" if value >= 100 else f"{value:.3g}{unit}"
    return str(number)


def format_duration(seconds: float) -> str:
    """A duration in at most two units: ``9 s``, ``1 min 15 s``, ``25 h 00 min``, ``12 days 03 h``."""
    total = round(seconds)
    days, hours, minutes = total // 86_400, total // 3600, total // 60 % 60
    if days > 1:
        return f"{days:,} days {hours % 24:02} h"
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {total % 60:02} s" if minutes else f"{total} s"


def describe_type(value: object) -> str:
    """The type of a value in a user's words: ``null``, ``text``, ``an integer``."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "true or false"
    return {int: "an integer", float: "a float"}.get(type(value), f"a {type(value).__name__}")


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that was probably meant: by its beginning, end or initials, or a similar word.

    Or None.
    """
    by_lower = {name.lower(): name for name in known}
    word = word.lower()
    begun = next((name for lower, name in by_lower.items() if len(word) > 2 and lower.startswith(word)), None)
    if begun:  # hardware=h100
        return begun
    for lower, name in by_lower.items():
        ends = len(lower) > 1 and word.endswith((f"-{lower}", f"_{lower}"))  # model=gpt2-xl
        if ends or (len(word) > 1 and word == "".join(part[:1] for part in lower.split("_"))):  # training.lr
            return name
    import difflib  # only needed for an error report

    found = difflib.get_close_matches(word, by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """``"; did you mean model.n_head?"`` to follow 'unknown key'; empty if no known word is close."""
    near = closest(word, known)
    return f"; did you mean {prefix}{near}?" if near else ""
