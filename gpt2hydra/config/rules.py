"""What one value must be. A rule says it in words, finds what is wrong, and knows the nearest value that obeys.

Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from gpt2hydra.config.errors import ABSENT
from gpt2hydra.utils.formatting import closest, counted, kind_of, show, show_number
from gpt2hydra.utils.immutable import FrozenDict, freeze

FLAGS = dict.fromkeys(("true", "yes", "on", "1", "t", "y", "enabled"), True)
FLAGS |= dict.fromkeys(("false", "no", "off", "0", "f", "n", "disabled"), False)
"""What people write for true and false."""


class Problem(NamedTuple):
    """What is wrong within a value: where (``""``, ``[1]``, ``.name``), what stands there, and what it must be."""

    path: str
    value: object
    rule: str


@dataclass(frozen=True)
class Rule:
    """What one value must be. ``str()`` says it in words.

    ``kind`` is the type of a single value, ``object`` where it can be of several; ``choices``, the only
    values, where there are few.
    """

    kind: type = object
    optional: bool = False
    choices: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.words()} or null" if self.optional else self.words()

    def words(self) -> str:
        """What a value other than null must be."""
        raise NotImplementedError

    def problems(self, value: Any) -> Sequence[Problem]:
        """All that is wrong with a value other than null."""
        raise NotImplementedError

    def all_problems(self, value: object) -> Sequence[Problem]:
        """All that is wrong with any value."""
        return () if value is None and self.optional else self.problems(value)

    def problem(self, value: object) -> str | None:
        """What ``value`` must be and is not, as a user reads it; None where it obeys."""
        return next((each.rule for each in self.all_problems(value)), None)

    def remedy(self, value: object) -> object:
        """The nearest value that obeys, or ABSENT where none is near."""
        return ABSENT

    def stored(self, value: Any) -> Any:
        """A value that obeys, as the field keeps it: immutable."""
        return value


@dataclass(frozen=True)
class Scalar(Rule):
    """One integer, number, truth or text. Strict: no bool for an integer, no text for a number."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    synonyms: Mapping[str, Any] = field(default_factory=dict, hash=False)

    NAMES: ClassVar[Mapping[type, str]] = {int: "an integer", float: "a number", bool: "true or false", str: "text"}

    def words(self) -> str:
        """``an integer ≥ 1``."""
        what = "one of " + ", ".join(map(show, self.choices)) if self.choices else self.NAMES[self.kind]
        return f"{what} {self._range()}".strip()

    def _range(self) -> str:
        limits = (("≥", self.at_least), (">", self.above), ("≤", self.at_most))
        return " and ".join(f"{sign} {show_number(limit)}" for sign, limit in limits if limit is not None)

    def problems(self, value: Any) -> Sequence[Problem]:
        """The first thing that is wrong: its type, or its size."""
        if self.choices:
            if any(type(value) is type(each) and value == each for each in self.choices):
                return ()
            wrong_kind = "" if type(value) in map(type, self.choices) else f", not {kind_of(value)}"
            return [Problem("", value, f"must be {self}{wrong_kind}")]
        if type(value) not in ((int, float) if self.kind is float else (self.kind,)):
            meant = f"; write {value:.0f}" if isinstance(value, float) and self.remedy(value) is not ABSENT else ""
            return [Problem("", value, f"must be {self}, not {kind_of(value)}{meant}")]
        if self.kind is float and not _is_finite(value):
            return [Problem("", value, f"must be finite: {self}")]
        is_within = (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
        )
        return () if is_within else [Problem("", value, f"must be {self._range()}")]

    def remedy(self, value: object) -> object:
        """What was meant by text or by a float that is an integer; the choice that is misspelt."""
        if self.kind is bool:
            text = str(value).strip().lower()
            misspelt = closest(text, [each for each in FLAGS if len(each) > 1], cutoff=0.75)
            return FLAGS.get(text, FLAGS.get(misspelt or "", ABSENT))
        if isinstance(value, str) and self.choices:
            by_text = {show(each): each for each in self.choices}
            return self.synonyms.get(value.strip().lower()) or by_text.get(closest(value, by_text) or "", ABSENT)
        if isinstance(value, str) and self.kind is int and value.strip().isdecimal() and len(value) < 20:
            return int(value)
        if isinstance(value, float) and self.kind is int and value.is_integer() and abs(value) < 1e15:
            return int(value)
        return ABSENT

    def stored(self, value: Any) -> Any:
        """An int where a float is meant becomes a float."""
        return float(value) if self.kind is float and value is not None else value


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int too large for a float
        return False


@dataclass(frozen=True)
class Anything(Rule):
    """Any value or section; it is passed through."""

    def words(self) -> str:
        """``any value``."""
        return "any value"

    def __str__(self) -> str:
        return self.words()

    def problems(self, value: Any) -> Sequence[Problem]:
        """Nothing is wrong."""
        return ()

    def stored(self, value: Any) -> Any:
        """Lists become tuples, dictionaries become immutable."""
        return freeze(value)


@dataclass(frozen=True)
class Items(Rule):
    """A list whose elements obey one rule; stored as a tuple."""

    element: Rule = field(default_factory=Anything)
    at_least: int = 0
    at_most: int | None = None

    def words(self) -> str:
        """``a list of 2 values, each a number ≥ 0``."""
        few, many = self.at_least, self.at_most
        if few == many:
            size = f" of {counted(few, 'value')}"
        else:
            size = f" of {few} to {many} values" if many is not None else f" of at least {counted(few, 'value')}" if few else ""
        return f"a list{size}" + ("" if type(self.element) is Anything else f", each {self.element}")

    def problems(self, value: Any) -> Sequence[Problem]:
        """No list, a wrong length, or each wrong element by its index: ``[1]``."""
        if not isinstance(value, (list, tuple)):
            return [Problem("", value, f"must be {self}, not {kind_of(value)}")]
        if len(value) < self.at_least or (self.at_most is not None and len(value) > self.at_most):
            return [Problem("", value, f"must be {self}, not of {len(value):,}")]
        wrong = ((index, found) for index, each in enumerate(value) for found in self.element.all_problems(each))
        return [found._replace(path=f"[{index}]{found.path}") for index, found in wrong]

    def remedy(self, value: object) -> object:
        """The list with the nearest value in place of each wrong one; of a single value that obeys, the list of it."""
        if not isinstance(value, (list, tuple)):
            alone = [value]
            return alone if value is not None and not self.all_problems(alone) else ABSENT
        elements = [self.element.remedy(each) if self.element.all_problems(each) else each for each in value]
        return ABSENT if any(each is ABSENT for each in elements) or self.all_problems(elements) else elements

    def stored(self, value: Any) -> Any:
        """A tuple."""
        return None if value is None else tuple(self.element.stored(each) for each in value)


@dataclass(frozen=True)
class MappingOf(Rule):
    """Keys of any name, whose values obey one rule; stored as a mapping that cannot change."""

    element: Rule = field(default_factory=Anything)

    def words(self) -> str:
        """``a mapping, each value a number ≥ 0``."""
        return "a mapping" + ("" if type(self.element) is Anything else f", each value {self.element}")

    def problems(self, value: Any) -> Sequence[Problem]:
        """No mapping, or each wrong value by its key: ``.name``."""
        if not isinstance(value, Mapping):
            return [Problem("", value, f"must be {self}, not {kind_of(value)}")]
        wrong = ((key, found) for key, each in value.items() for found in self.element.all_problems(each))
        return [found._replace(path=f".{key}{found.path}") for key, found in wrong]

    def stored(self, value: Any) -> Any:
        """A mapping that cannot change."""
        return None if value is None else FrozenDict({str(key): self.element.stored(each) for key, each in value.items()})


@dataclass(frozen=True)
class Either(Rule):
    """One of several rules: ``an integer ≥ 1, or text``."""

    alternatives: tuple[Rule, ...] = ()

    def words(self) -> str:
        """``an integer ≥ 1, or one of auto, none``."""
        return ", or ".join(each.words() for each in self.alternatives)

    def problems(self, value: Any) -> Sequence[Problem]:
        """What the one alternative of its type finds; where it is of none of the types, that."""
        found = [each.all_problems(value) for each in self.alternatives]
        if not all(found):
            return ()
        same = [problems for each, problems in zip(self.alternatives, found, strict=True) if _is_like(each, value)]
        if len(same) == 1 and any(each.path for each in same[0]):
            return same[0]
        return [Problem("", value, f"must be {self}" + ("" if same else f", not {kind_of(value)}"))]

    def remedy(self, value: object) -> object:
        """That of the first alternative that has one."""
        return next((near for each in self.alternatives if (near := each.remedy(value)) is not ABSENT), ABSENT)

    def stored(self, value: Any) -> Any:
        """As the first alternative that it obeys keeps it."""
        return next((each.stored(value) for each in self.alternatives if each.problem(value) is None), value)


def _is_like(rule: Rule, value: object) -> bool:
    if isinstance(rule, Items):
        return isinstance(value, (list, tuple))
    return isinstance(value, Mapping) if rule.kind is object else type(value) is rule.kind
