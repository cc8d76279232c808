"""Values that are read otherwise than they were meant.

In YAML ``012`` is 10, ``1:30`` is 90, ``no`` in a text field is ``False``, and Hydra sees what YAML made of them. So
:func:`may_be_misread` looks at the nodes of the files that took part, each scalar of them, and only where one is such a value
does :func:`misread` ask whose it is and whether it is in force. On the command line a comma makes a sweep; :func:`as_typed`
sees that text stays text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gpt2hydra.config.errors import Violation
from gpt2hydra.config.keys import field_at, keys_of, once_a_class, rule_at
from gpt2hydra.config.rules import Rule
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.formatting import show
from gpt2hydra.utils.quoting import RawOverride, quoted
from gpt2hydra.utils.yaml_nodes import check_yaml, decimal, is_misread_number, misread_rule

if TYPE_CHECKING:
    from gpt2hydra.composition.provenance import Provenance


def may_be_misread(files: Iterable[str], root: type[Checked]) -> bool:
    """Whether one of the files holds a value that YAML reads otherwise than a person does, wherever ``root`` would put it."""
    texts, looks = _text_fields(root), [check_yaml(file) for file in files]
    return any(look.odd_number or look.no_text & texts for look in looks)


@once_a_class
def _text_fields(root: type[Any]) -> frozenset[str]:
    """The names of the fields of text, in sections too."""
    rules = {key: getattr(field_at(root, key), "metadata", {}).get("rule") for key in keys_of(root)}
    return frozenset(key.rpartition(".")[2] for key, rule in rules.items() if rule is not None and rule.kind is str)


def misread(provenance: Provenance, root: type[Checked]) -> list[Violation]:
    """A violation for each value in force that YAML reads otherwise than a person does, and for each that ``???`` asks for."""
    violations = []
    for key, source in provenance.demanded.items():
        if source.kind not in ("command line", "default") and field_at(root, key) is not None:
            violations.append(Violation(key, "???", "must be given: the file leaves it to the command line", source))
    for key, chain in provenance.settings.items():
        rule, written = rule_at(root, key), chain[-1].written
        if rule is None or written is None:
            continue
        problem = _problem(written, chain[-1].value, rule)
        if problem:
            meant = RawOverride(decimal(written)) if rule.kind is not str else "" if rule.problem(written) else written
            violations.append(Violation(key, written, problem, remedy={key: meant} if meant else {}))
    return violations


def _problem(written: str, value: object, rule: Rule) -> str | None:
    if rule.kind is str and not isinstance(value, str) and value is not None and str(value) != written:
        return (
            rule.problem(written) or f"is text, but YAML reads it as {show(value)}; in the file, put it in quotes: '{written}'"
        )
    if rule.kind in (int, float) and is_misread_number(written) and str(value) != decimal(written):
        return misread_rule(written, value)
    return None


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
