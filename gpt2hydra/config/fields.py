"""How a field says what it may hold, and a relation what must be true between fields. Standard library only.

A field states its rule where it is declared, and everything else (checks, messages, the Hydra schema, help) derives from
that one place::

    n_head: int = integer(12, "attention heads of each layer", at_least=1, at_most=10_000)

Rules between fields are plain functions under :func:`relation`. A class that derives from
:class:`gpt2hydra.config.validation.Checked` obeys all of them from the moment it exists.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from gpt2hydra.config.errors import ABSENT
from gpt2hydra.utils.formatting import closest, kind_of, show_number

# ---------------------------------------------------------------------------------------------- rules of one field

FLAGS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)
"""What people write for true and false."""


@dataclass(frozen=True)
class Rule:
    """What one value must be. ``str()`` says it in words; :meth:`problem` says how a value breaks it."""

    kind: type
    optional: bool = False
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    choices: tuple[str, ...] = ()
    synonyms: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)

    NAMES: ClassVar[Mapping[type, str]] = {int: "an integer", float: "a number", bool: "true or false", str: "text"}

    def __str__(self) -> str:
        what = "one of " + ", ".join(self.choices) if self.choices else self.NAMES[self.kind]
        null = " or null" if self.optional else ""
        return f"{what} {self._range()}".strip() + null

    def _range(self) -> str:
        limits = (("≥", self.at_least), (">", self.above), ("≤", self.at_most))
        return " and ".join(f"{sign} {show_number(limit)}" for sign, limit in limits if limit is not None)

    def problem(self, value: object) -> str | None:
        """The rule that ``value`` breaks, as a user reads it, or None. Strict: no bool for int, no text for a number."""
        if value is None and self.optional:
            return None
        accepted: tuple[type, ...] = (int, float) if self.kind is float else (self.kind,)
        if type(value) not in accepted:
            return f"must be {self}, not {kind_of(value)}"
        if self.choices:
            return None if value in self.choices else f"must be {self}"
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if self.kind is float and not _is_finite(value):
                return f"must be finite: {self}"
            if not (
                (self.at_least is None or value >= self.at_least)
                and (self.above is None or value > self.above)
                and (self.at_most is None or value <= self.at_most)
            ):
                return f"must be {self._range()}"
        return None

    def remedy(self, value: object) -> object:
        """The nearest value that obeys, or ABSENT where none is near."""
        if self.kind is bool:
            return FLAGS.get(closest(str(value).strip(), FLAGS) or "", ABSENT)
        if isinstance(value, str) and self.choices:
            near = self.synonyms.get(value.strip().lower()) or closest(value, self.choices)
            return near if near else ABSENT
        if isinstance(value, str) and self.kind is int and value.strip().isdecimal() and len(value) < 20:
            return int(value)
        if isinstance(value, float) and self.kind is int and value.is_integer() and abs(value) < 1e15:
            return int(value)
        return ABSENT

    def stored(self, value: Any) -> Any:
        """``value`` as the field keeps it: an int where a float is meant becomes a float."""
        return float(value) if self.kind is float and value is not None else value


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int too large for a float
        return False


def integer(
    default: int | None, doc: str, *, at_least: int = 1, at_most: int, optional: bool = False, affects_result: bool = True
) -> Any:
    """A field that holds a true ``int`` between two bounds.

    ``affects_result``, here and below: whether the value has a part in the result (:mod:`gpt2hydra.config.fingerprint`).
    """
    return _field(default, doc, Rule(int, optional, at_least=at_least, at_most=at_most), affects_result=affects_result)


def number(
    default: float | None,
    doc: str,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    optional: bool = False,
    affects_result: bool = True,
) -> Any:
    """A field that holds a finite ``float``; an ``int`` is accepted and stored as ``float``."""
    return _field(
        default, doc, Rule(float, optional, at_least=at_least, above=above, at_most=at_most), affects_result=affects_result
    )


def flag(default: bool, doc: str, *, affects_result: bool = True) -> Any:
    """A field that holds ``True`` or ``False``."""
    return _field(default, doc, Rule(bool), affects_result=affects_result)


def text(
    default: str | None = ABSENT, doc: str = "", *, optional: bool = False, literal: bool = False, affects_result: bool = True
) -> Any:
    """A field that holds text; without a default it must be given. ``literal``: the command line is taken as it stands."""
    return _field(default, doc, Rule(str, optional), literal=literal, affects_result=affects_result)


def choice(
    default: str, doc: str, choices: tuple[str, ...], *, synonyms: Mapping[str, str] | None = None, affects_result: bool = True
) -> Any:
    """A field that holds one of a few words. ``synonyms`` maps what people write to the word that a report then offers."""
    return _field(default, doc, Rule(str, choices=choices, synonyms=synonyms or {}), affects_result=affects_result)


def _field(default: object, doc: str, rule: Rule, **more: Any) -> Any:
    metadata = {"rule": rule, "doc": doc, **more}
    if default is ABSENT:
        return dataclasses.field(metadata=metadata, kw_only=True)  # so that it may follow fields with a default
    return dataclasses.field(default=default, metadata=metadata)


def computed(formula: Callable[..., Any], doc: str, *inputs: str) -> Any:
    """A field that follows from others and cannot be set; ``formula`` is called with the values of the dotted keys ``inputs``.

    ``doc`` says it in words, for messages and help: ``computed(inner_width, "4 * n_embd", "n_embd")``.
    """
    return dataclasses.field(init=False, metadata={"computed": formula, "inputs": inputs, "doc": doc})


# ---------------------------------------------------------------------------------------- rules between the fields


@dataclass(frozen=True)
class Failure:
    """How a relation is broken. In ``rule``, ``{key}`` stands for that key and its value; ``remedy`` is what to set."""

    rule: str
    remedy: Mapping[str, object] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Relation:
    """A rule over several dotted keys; the first is the one that a report blames."""

    keys: tuple[str, ...]
    hints: tuple[str, ...]
    test: Callable[..., Failure | None]


def relation(*keys: str, hints: tuple[str, ...] = ()) -> Callable[[Callable[..., Failure | None]], Relation]:
    """Declare a rule between ``keys``. The function gets their values once each is valid by itself.

    The values of ``hints`` follow, None where one is not valid: they may improve the message, the rule is not about them.
    """
    return lambda test: Relation(keys, hints, test)
