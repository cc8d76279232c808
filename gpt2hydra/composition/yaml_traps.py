"""Values that are read otherwise than they were meant.

In YAML ``012`` is 10, ``1:30`` is 90, ``no`` in a text field is ``False``, and Hydra sees what YAML made of them. So
:func:`suspicious` looks at the files' text, which takes no time, and only where something looks like such a value does
:func:`misread` ask who wrote what. On the command line a comma makes a sweep; :func:`as_typed` sees that text stays text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gpt2hydra.config.checked import Checked
from gpt2hydra.config.errors import Violation
from gpt2hydra.config.fields import Rule
from gpt2hydra.config.keys import field_at, fields_of
from gpt2hydra.config.quoting import Typed, quoted
from gpt2hydra.config.run import GenerateConfig, TrainConfig
from gpt2hydra.config.words import show

if TYPE_CHECKING:
    from gpt2hydra.composition.provenance import Provenance

_OCTAL = r"[-+]?0[0-9_]+"
_SEXAGESIMAL = r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
_MISREAD_NUMBER = re.compile(f"{_OCTAL}|{_SEXAGESIMAL}")  # YAML 1.1, yaml.org/type/int.html and float.html


@functools.cache
def _screen() -> re.Pattern[str]:
    texts = "|".join(sorted({name for root in (TrainConfig, GenerateConfig) for name in _text_fields(root)}))
    number, word = f"(?:{_OCTAL}|{_SEXAGESIMAL})", r"(?:[-+.0-9][^\s,}#]*|yes|no|on|off|true|false)"
    return re.compile(rf":[ \t]+(?:\?\?\?|{number})(?![^\s,}}])|\b(?:{texts})['\"]?:[ \t]+{word}(?![^\s,}}])", re.IGNORECASE)


def _text_fields(config_class: type[Checked]) -> Iterable[str]:
    for field in fields_of(config_class):
        if "section" in field.metadata:
            yield from _text_fields(field.metadata["section"])
        elif "rule" in field.metadata and field.metadata["rule"].kind is str:
            yield field.name


def suspicious(files: Iterable[str | Path]) -> bool:
    """Whether one of the YAML files may hold a value that YAML reads otherwise than a person does."""
    return any(_screen().search(Path(file).read_text(encoding="utf-8", errors="replace")) for file in files)


def misread(provenance: Provenance, root: type[Checked]) -> list[Violation]:
    """A violation for each value in force that YAML reads otherwise than a person does, and for each that ``???`` asks for."""
    violations = []
    for key, source in provenance.demanded.items():
        if source.kind != "command line" and field_at(root, key) is not None:
            violations.append(Violation(key, "???", "must be given: the file leaves it to the command line", source))
    for key, chain in provenance.settings.items():
        field, written = field_at(root, key), chain[-1].written
        if field is None or written is None or "rule" not in field.metadata:
            continue
        problem = _problem(written, chain[-1].value, field.metadata["rule"])
        if problem:
            meant = written if field.metadata["rule"].kind is str else Typed(decimal(written))
            violations.append(Violation(key, written, problem, remedy={key: meant} if meant else {}))
    return violations


def _problem(written: str, value: object, rule: Rule) -> str | None:
    if rule.kind is str and not isinstance(value, str) and value is not None and str(value) != written:
        return f"is text, but YAML reads it as {show(value)}; in the file, put it in quotes: '{written}'"
    if rule.kind in (int, float) and is_misread_number(written) and str(value) != decimal(written):
        return f"YAML reads it as {show(value)}; in the file, write {decimal(written) or value}"
    return None


def is_misread_number(written: str) -> bool:
    """Whether YAML 1.1 takes the text for a number of base 8 or 60."""
    return _MISREAD_NUMBER.fullmatch(written) is not None


def decimal(written: str) -> str:
    """``012`` → ``12``; nothing where no decimal number was meant."""
    return "" if ":" in written else str(int(written.replace("_", "")))  # int('012') is 12


# ------------------------------------------------------------------------------------------------ text as it was typed


def as_typed(overrides: Iterable[str], config_class: type[Checked], *, sweep: bool = False) -> list[str]:
    """Quote the values of text fields so that they mean what was typed.

    Hydra's grammar would read ``data.path=007`` as 7 and the commas of ``prompt=To be, or not`` as a sweep. A ``prompt`` is
    taken as it stands, any other text field when it looks like a number or has signs that the grammar lacks; quoted values
    are left to Hydra, and so is everything in a sweep.
    """
    return [_as_typed(text, config_class, sweep) for text in overrides]


def _as_typed(text: str, config_class: type[Checked], sweep: bool) -> str:
    key, equals, value = text.partition("=")
    field = field_at(config_class, key)
    if not equals or field is None or "rule" not in field.metadata or field.metadata["rule"].kind is not str:
        return text
    if _is_quoted(value) or not value or (value == "null" and field.metadata["rule"].optional):
        return text
    literal = bool(field.metadata.get("literal")) and not sweep
    number = re.fullmatch(r"[-+]?[\d._]+(e[-+]?\d+)?|true|false|inf|nan", value, re.IGNORECASE)
    beyond = (not value.isascii() or value.startswith("~")) and not set(value) & set(
        ",()[]{}'\"$\\="
    )  # Hydra has no word for it
    return f"{key}={quoted(value)}" if literal or number or beyond else text


def _is_quoted(value: str) -> bool:
    """Whether all of ``value`` is one quoted string of Hydra's grammar."""
    mark = value[:1]
    return mark in ("'", '"') and re.fullmatch(rf"{mark}(?:[^{mark}\\]|\\.)*{mark}", value, re.DOTALL) is not None
