"""The rule of one value: its text, the check of a value, and the nearest value that obeys.

Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from gpt2hydra.config.errors import ABSENT
from gpt2hydra.utils.formatting import closest, describe_type, format_number, format_value, pluralize
from gpt2hydra.utils.immutable import FrozenDict, freeze

BOOLEAN_WORDS = dict.fromkeys(("true", "yes", "on", "1", "t", "y", "enabled"), True)
BOOLEAN_WORDS |= dict.fromkeys(("false", "no", "off", "0", "f", "n", "disabled"), False)
"""Words that people write for true and false."""


class Problem(NamedTuple):
    """A broken rule inside a value: path (``""``, ``[1]``, ``.name``), the value there, and the rule."""

    path: str
    value: object
    rule: str


@dataclass(frozen=True)
class Rule:
    """The rule of one value. ``str()`` is its text.

    ``kind`` is the type of a single value, ``object`` if several types are allowed; ``choices`` has the only
    allowed values, if they are few.
    """

    kind: type = object
    optional: bool = False
    choices: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.describe()} or null" if self.optional else self.describe()

    def describe(self) -> str:
        """The rule as text, without null."""
        raise NotImplementedError

    def problems(self, value: Any) -> Sequence[Problem]:
        """The problems of a value other than null."""
        raise NotImplementedError

    def all_problems(self, value: object) -> Sequence[Problem]:
        """The problems of any value."""
        return () if value is None and self.optional else self.problems(value)

    def first_problem(self, value: object) -> str | None:
        """The first rule that ``value`` breaks, as a sentence for the user; None if it obeys."""
        return next((each.rule for each in self.all_problems(value)), None)

    def remedy(self, value: object) -> object:
        """The nearest value that obeys, or ABSENT if none is near."""
        return ABSENT

    def convert(self, value: Any) -> Any:
        """Convert a valid value to the immutable form that the field stores."""
        return value


@dataclass(frozen=True)
class Scalar(Rule):
    """One integer, number, boolean or text. Strict: a bool is no integer, and text is no number."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    synonyms: Mapping[str, Any] = field(default_factory=dict, hash=False)

    NAMES: ClassVar[Mapping[type, str]] = {int: "an integer", float: "a number", bool: "true or false", str: "text"}

    def describe(self) -> str:
        """``an integer ≥ 1``."""
        what = "one of " + ", ".join(map(format_value, self.choices)) if self.choices else self.NAMES[self.kind]
        return f"{what} {self._range()}".strip()

    def _range(self) -> str:
        limits = (("≥", self.at_least), (">", self.above), ("≤", self.at_most))
        return " and ".join(f"{sign} {format_number(limit)}" for sign, limit in limits if limit is not None)

    def problems(self, value: Any) -> Sequence[Problem]:
        """The first problem: the type, or the size."""
        if self.choices:
            if any(type(value) is type(each) and value == each for each in self.choices):
                return ()
            wrong_kind = "" if type(value) in map(type, self.choices) else f", not {describe_type(value)}"
            return [Problem("", value, f"must be {self}{wrong_kind}")]
        if type(value) not in ((int, float) if self.kind is float else (self.kind,)):
            meant = f"; write {value:.0f}" if isinstance(value, float) and self.remedy(value) is not ABSENT else ""
            return [Problem("", value, f"must be {self}, not {describe_type(value)}{meant}")]
        if self.kind is float and not _is_finite(value):
            return [Problem("", value, f"must be finite: {self}")]
        is_within = (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
        )
        return () if is_within else [Problem("", value, f"must be {self._range()}")]

    def remedy(self, value: object) -> object:
        """The probable meaning: '12' and 12.0 → 12, 'yes' → true, a misspelt choice → that choice."""
        if self.kind is bool:
            text = str(value).strip().lower()
            misspelt = closest(text, [each for each in BOOLEAN_WORDS if len(each) > 1], cutoff=0.75)
            return BOOLEAN_WORDS.get(text, BOOLEAN_WORDS.get(misspelt or "", ABSENT))
        if isinstance(value, str) and self.choices:
            by_text = {format_value(each): each for each in self.choices}
            return self.synonyms.get(value.strip().lower()) or by_text.get(closest(value, by_text) or "", ABSENT)
        if isinstance(value, str) and self.kind is int and value.strip().isdecimal() and len(value) < 20:
            return int(value)
        if isinstance(value, float) and self.kind is int and value.is_integer() and abs(value) < 1e15:
            return int(value)
        return ABSENT

    def convert(self, value: Any) -> Any:
        """Convert an int to a float, if the rule is for a float."""
        return float(value) if self.kind is float and value is not None else value


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int too large for a float
        return False


@dataclass(frozen=True)
class Anything(Rule):
    """Any value or section; it is not checked."""

    def describe(self) -> str:
        """``any value``."""
        return "any value"

    def __str__(self) -> str:
        return self.describe()

    def problems(self, value: Any) -> Sequence[Problem]:
        """No problems."""
        return ()

    def convert(self, value: Any) -> Any:
        """Convert lists to tuples, and dictionaries to immutable mappings."""
        return freeze(value)


@dataclass(frozen=True)
class Items(Rule):
    """A list whose elements obey one rule; stored as a tuple."""

    element: Rule = field(default_factory=Anything)
    at_least: int = 0
    at_most: int | None = None

    def describe(self) -> str:
        """``a list of 2 values, each a number ≥ 0``."""
        few, many = self.at_least, self.at_most
        if few == many:
            size = f" of {pluralize(few, 'value')}"
        else:
            size = (
                f" of {few} to {many} values" if many is not None else f" of at least {pluralize(few, 'value')}" if few else ""
            )
        return f"a list{size}" + ("" if type(self.element) is Anything else f", each {self.element}")

    def problems(self, value: Any) -> Sequence[Problem]:
        """That it is no list or has a wrong length, or each wrong element with its index: ``[1]``."""
        if not isinstance(value, (list, tuple)):
            return [Problem("", value, f"must be {self}, not {describe_type(value)}")]
        if len(value) < self.at_least or (self.at_most is not None and len(value) > self.at_most):
            return [Problem("", value, f"must be {self}, not of {len(value):,}")]
        wrong = ((index, found) for index, each in enumerate(value) for found in self.element.all_problems(each))
        return [found._replace(path=f"[{index}]{found.path}") for index, found in wrong]

    def remedy(self, value: object) -> object:
        """The list with the nearest value for each wrong element; ``[value]`` for a single valid value."""
        if not isinstance(value, (list, tuple)):
            single = [value]
            return single if value is not None and not self.all_problems(single) else ABSENT
        elements = [self.element.remedy(each) if self.element.all_problems(each) else each for each in value]
        return ABSENT if any(each is ABSENT for each in elements) or self.all_problems(elements) else elements

    def convert(self, value: Any) -> Any:
        """Convert to a tuple."""
        return None if value is None else tuple(self.element.convert(each) for each in value)


@dataclass(frozen=True)
class MappingOf(Rule):
    """A mapping with any keys, whose values obey one rule; stored as an immutable mapping."""

    element: Rule = field(default_factory=Anything)

    def describe(self) -> str:
        """``a mapping, each value a number ≥ 0``."""
        return "a mapping" + ("" if type(self.element) is Anything else f", each value {self.element}")

    def problems(self, value: Any) -> Sequence[Problem]:
        """That it is no mapping, or each wrong value with its key: ``.name``."""
        if not isinstance(value, Mapping):
            return [Problem("", value, f"must be {self}, not {describe_type(value)}")]
        wrong = ((key, found) for key, each in value.items() for found in self.element.all_problems(each))
        return [found._replace(path=f".{key}{found.path}") for key, found in wrong]

    def convert(self, value: Any) -> Any:
        """Convert to an immutable mapping."""
        return None if value is None else FrozenDict({str(key): self.element.convert(each) for key, each in value.items()})


@dataclass(frozen=True)
class Either(Rule):
    """One of several rules: ``an integer ≥ 1, or text``."""

    alternatives: tuple[Rule, ...] = ()

    def describe(self) -> str:
        """``an integer ≥ 1, or one of auto, none``."""
        return ", or ".join(each.describe() for each in self.alternatives)

    def problems(self, value: Any) -> Sequence[Problem]:
        """The problems inside the value, if one alternative has its type; otherwise one problem for all."""
        found = [each.all_problems(value) for each in self.alternatives]
        if not all(found):
            return ()
        same = [problems for each, problems in zip(self.alternatives, found, strict=True) if _is_like(each, value)]
        if len(same) == 1 and any(each.path for each in same[0]):
            return same[0]
        return [Problem("", value, f"must be {self}" + ("" if same else f", not {describe_type(value)}"))]

    def remedy(self, value: object) -> object:
        """The remedy of the first alternative that has one."""
        return next((near for each in self.alternatives if (near := each.remedy(value)) is not ABSENT), ABSENT)

    def convert(self, value: Any) -> Any:
        """Convert as the first alternative that the value obeys."""
        return next((each.convert(value) for each in self.alternatives if each.first_problem(value) is None), value)


def _is_like(rule: Rule, value: object) -> bool:
    if isinstance(rule, Items):
        return isinstance(value, (list, tuple))
    return isinstance(value, Mapping) if rule.kind is object else type(value) is rule.kind
