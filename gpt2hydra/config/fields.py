"""The rules of a configuration, and the error that names every broken one. Standard library only.

A field states its rule where it is declared, and everything else (checks, messages, the Hydra schema, help) derives from
that one place::

    n_head: int = integer(12, "attention heads of each layer", at_least=1, at_most=10_000)

Rules between fields are plain functions under :func:`relation`. A class that derives from
:class:`gpt2hydra.config.checked.Checked` obeys all of them from the moment it exists.
"""

from __future__ import annotations

import dataclasses
import math
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from gpt2hydra.config.checked import Checked

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "(no value)"})()
"""Stands for 'there is no value': a missing key, a field without a default."""

COMMAND_LINE = "the command line: "
"""Begins the source of a value that an override set; the override as typed follows."""


# ---------------------------------------------------------------------------------------------- what a user reads


@dataclass(frozen=True)
class Violation:
    """One broken rule.

    ``key`` is dotted (``model.n_head``), ``value`` what was received, ``rule`` what it must obey, ``origin`` who set it
    (empty in plain Python) and ``suggestion`` an override to paste (``model.n_head=8``), or nothing.
    """

    key: str
    value: object = ABSENT
    rule: str = ""
    origin: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        head = self.key if self.value is ABSENT else f"{self.key} = {show(self.value)}"
        lines = [head, f"  {self.rule}"]
        if self.origin:
            lines.append(f"  {self.origin}")
        if self.suggestion:
            lines.append(f"  try: {self.suggestion}")
        return "\n".join(lines)


class ConfigError(ValueError, AssertionError):
    """A configuration was refused. ``violations`` holds every broken rule; ``str()`` is the report that a user reads.

    It is a ``ValueError``, and an ``AssertionError`` for callers who come from course material that asserts.
    """

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__(self.violations)

    def __str__(self) -> str:
        count = len(self.violations)
        head = f"{count} problem{'s' * (count != 1)} in the configuration; nothing was started."
        return "\n\n".join([head, *(_indent(str(violation)) for violation in self.violations)])


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def show(value: object, width: int = 80) -> str:
    """A value as a user would type it in YAML, on one line of at most ``width`` characters."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int) and value.bit_length() > 128:  # str() itself refuses more than 4,300 digits
        return f"an integer of about {int(value.bit_length() * math.log10(2)) + 1:,} digits"
    text = value if isinstance(value, str) else repr(value)
    if isinstance(value, str) and (not text or text != text.strip() or not text.isprintable()):
        text = repr(text)
    return text if len(text) <= width else f"{text[: width - 20]}... ({len(text):,} characters)"


def assignment(key: str, value: object) -> str:
    """``key=value`` to paste into a shell: text that Hydra or the shell would read otherwise is quoted for both."""
    if not isinstance(value, str) or re.fullmatch(r"[\w./:@%+-]+", value, re.ASCII) or value in ("...", "FOLDER"):
        return f"{key}={show(value)}"
    quoted = value.replace("'", "\\'")
    return shlex.quote(f"{key}='{quoted}'") if set(value) & set("\"$`\\!'") else f"\"{key}='{quoted}'\""


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that ``word`` was probably meant to be: its beginning, its end, its initials, or misspelt by a little."""
    by_lower = {name.lower(): name for name in known}
    word = word.lower()
    for lower, name in by_lower.items():
        begins = len(word) > 2 and lower.startswith(word)  # hardware=h100
        ends = len(lower) > 1 and word.endswith((f"-{lower}", f"_{lower}"))  # model=gpt2-xl
        if begins or ends or (len(word) > 1 and word == "".join(part[:1] for part in lower.split("_"))):  # training.lr
            return name
    import difflib

    found = difflib.get_close_matches(word, by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """``"; did you mean model.n_head?"`` or nothing, to be put behind 'unknown key'."""
    near = closest(word, known)
    return f"; did you mean {prefix}{near}?" if near else ""


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

    NAMES: ClassVar[Mapping[type, str]] = {int: "an integer", float: "a number", bool: "true or false", str: "text"}

    def __str__(self) -> str:
        what = "one of " + ", ".join(self.choices) if self.choices else self.NAMES[self.kind]
        return f"{what} {self._range()}".strip() + " or null" * self.optional

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
            near = closest(value, self.choices)
            return near if near else ABSENT
        if isinstance(value, str) and self.kind is int and value.strip().isdecimal() and len(value) < 20:
            return int(value)
        if isinstance(value, float) and self.kind is int and value.is_integer() and abs(value) < 1e15:
            return int(value)
        return ABSENT

    def stored(self, value: Any) -> Any:
        """``value`` as the field keeps it: an int where a float is meant becomes a float."""
        return float(value) if self.kind is float and value is not None else value


def kind_of(value: object) -> str:
    """The type of a value, in a user's words."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "true or false"
    return {int: "an integer", float: "a number with a decimal point"}.get(type(value), f"a {type(value).__name__}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int too large for a float
        return False


def show_number(value: float) -> str:
    """``10000`` → ``10,000``; a float without a needless fraction."""
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def integer(default: int | None, doc: str, *, at_least: int = 1, at_most: int, optional: bool = False) -> Any:
    """A field that holds a true ``int`` between two bounds."""
    return _field(default, doc, Rule(int, optional, at_least=at_least, at_most=at_most))


def number(
    default: float | None,
    doc: str,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    optional: bool = False,
) -> Any:
    """A field that holds a finite ``float``; an ``int`` is accepted and stored as ``float``."""
    return _field(default, doc, Rule(float, optional, at_least=at_least, above=above, at_most=at_most))


def flag(default: bool, doc: str) -> Any:
    """A field that holds ``True`` or ``False``."""
    return _field(default, doc, Rule(bool))


def text(default: str | None = ABSENT, doc: str = "", *, optional: bool = False, literal: bool = False) -> Any:
    """A field that holds text; without a default it must be given. ``literal``: the command line is taken as it stands."""
    return _field(default, doc, Rule(str, optional), literal=literal)


def choice(default: str, doc: str, choices: tuple[str, ...]) -> Any:
    """A field that holds one of a few words."""
    return _field(default, doc, Rule(str, choices=choices))


def _field(default: object, doc: str, rule: Rule, **more: Any) -> Any:
    metadata = {"rule": rule, "doc": doc, **more}
    if default is ABSENT:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def computed(formula: Callable[..., int], doc: str, *inputs: str) -> dict[str, Any]:
    """Metadata of a ``field(init=False)`` that follows from others; ``formula`` is called with ``inputs``."""
    return {"computed": formula, "inputs": inputs, "doc": doc}


def section(config_class: type[Checked], doc: str) -> Any:
    """A field that holds another configuration."""
    return dataclasses.field(default_factory=config_class, metadata={"section": config_class, "doc": doc})


# ---------------------------------------------------------------------------------------- rules between the fields


@dataclass(frozen=True)
class Broken:
    """How a relation is broken. In ``rule``, ``{key}`` stands for that key and its value; ``remedy`` is what to set."""

    rule: str
    remedy: Mapping[str, object] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Relation:
    """A rule over several dotted keys; the first is the one that a report blames."""

    keys: tuple[str, ...]
    hints: tuple[str, ...]
    test: Callable[..., Broken | None]


def relation(*keys: str, hints: tuple[str, ...] = ()) -> Callable[[Callable[..., Broken | None]], Relation]:
    """Declare a rule between ``keys``. The function gets their values once each is valid by itself.

    The values of ``hints`` follow, None where one is not valid: they may improve the message, the rule is not about them.
    """
    return lambda test: Relation(keys, hints, test)
