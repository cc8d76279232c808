"""The report on an invalid configuration: :class:`Violation` is one broken rule, :class:`ConfigError` all.

The source of a value (:class:`Source`, :class:`Setting`) and the remedy are kept as data. They become text
only when a report is printed. Standard library only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from gpt2hydra.utils.formatting import error_reason, escape_unprintable, format_value, pluralize, to_jsonable
from gpt2hydra.utils.quoting import format_override, quote_for_bash


class Absent(Enum):
    """Markers in place of a value. An enum, so that a copied or unpickled member is the same object."""

    ABSENT = "(no value)"
    DELETED = "(deleted)"

    def __repr__(self) -> str:
        return str(self.value)


ABSENT: Any = Absent.ABSENT
"""There is no value: a missing key, a field without a default. In a remedy: delete the key."""

DELETED: Any = Absent.DELETED
"""There was a value, and a source deleted it."""


# ----------------------------------------------------------------------------------------------------- who set a value


@dataclass(frozen=True)
class Source:
    """The source of a value: who set it. ``str()`` names it in a report.

    Args:
        kind: ``default``: the schema. ``file``: a YAML file. ``ConfigStore``: a config that Python stored
            there. ``command line``: an override, also one that was given to ``compose``. ``untraced``:
            unknown.
        file: the file's path, relative to the current directory if it is below it; the name of a node of the
            ConfigStore.
        line: line of the file, from 1; None if no line is meant.
        override: the override as it was typed; None for an option or a word that is no override.
        items: the line of each element, if the value is a list in a file.
    """

    kind: Literal["default", "file", "ConfigStore", "command line", "untraced"]
    file: str | None = None
    line: int | None = None
    override: str | None = None
    items: tuple[int, ...] = field(default=(), compare=False, repr=False)

    def of_item(self, index: int) -> Source:
        """The source of one element of a list: the list's source with the element's own line."""
        return dataclasses.replace(self, line=self.items[index], items=()) if index < len(self.items) else self

    def __str__(self) -> str:
        names = {
            "default": "the default",
            "file": self.file if self.line is None else f"{self.file}:{self.line}",
            "ConfigStore": f"the ConfigStore: {self.file}",
            "command line": "the command line" if self.override is None else f"the command line: {format_value(self.override)}",
            "untraced": "could not be traced exactly",
        }
        return str(names[self.kind])

    def describe(self) -> str:
        """The source with a verb: ``set by conf/train.yaml:3``, ``the default``."""
        return str(self) if self.kind in ("default", "untraced") else f"set by {self}"

    def to_dict(self) -> dict[str, Any]:
        """The fields that are known, except ``items``. ``Source(**mapping)`` is the inverse."""
        return {name: value for name, value in vars(self).items() if value is not None and name != "items"}


DEFAULT = Source("default")


def command_line(override: str | None = None) -> Source:
    """The source of an override, or of the command line in general."""
    return Source("command line", override=override)


@dataclass(frozen=True)
class Setting:
    """One value that one source gave to one key.

    ``value`` is raw: not converted to the schema's type, interpolations not resolved; ``DELETED`` if the
    source deleted the key. ``written`` is the text of a plain YAML scalar, because YAML may read it as
    something else: ``012`` is 10, ``1:30`` is 90, ``yes`` is true. For a list it is a tuple of its elements'
    texts. It is None if the value is not from YAML.
    """

    key: str
    value: object
    source: Source
    written: Any = None

    def __str__(self) -> str:
        return f"{self.key} = {format_value(self.value)}"

    def to_dict(self) -> dict[str, Any]:
        """Value and source for JSON; ``deleted`` replaces a value that was deleted."""
        value = {"deleted": True} if self.value is DELETED else {"value": to_jsonable(self.value)}
        return {**value, "source": self.source.to_dict()}


# ---------------------------------------------------------------------------------------------------------- violations


@dataclass(frozen=True)
class Violation:
    """One broken rule.

    Args:
        key: dotted, ``model.n_head``.
        value: the value received; ``ABSENT`` if there was none.
        rule: the rule that the value breaks, or why it cannot be used, as a sentence without a subject.
        source: who set the value; None in plain Python.
        remedy: keys to set instead, with their values; ``ABSENT`` deletes a key (``~key``).
        multirun: several values were given where one is allowed; the remedy is a sweep, which needs ``-m``.
        action: what the source did: it ``set`` the key, ``deleted`` it, ``chose`` the file that is wrong, or
            holds a ``word`` that is no override.
        replaced: the setting before that of ``source``, if it had another value.
        others: the other keys that the rule reads, with their sources if known.
    """

    key: str
    value: object = ABSENT
    rule: str = ""
    source: Source | None = None
    remedy: Mapping[str, object] = field(default_factory=dict, hash=False)
    multirun: bool = False
    action: Literal["set", "deleted", "chose", "word"] = "set"
    replaced: Setting | None = None
    others: Mapping[str, Source | None] = field(default_factory=dict, hash=False)

    @property
    def head(self) -> str:
        """``model.n_head = 7``, or only the key if there is no value."""
        return self.key if self.value is ABSENT else f"{self.key} = {format_value(self.value)}"

    @property
    def is_typed(self) -> bool:
        """Whether the command line set the value."""
        return self.source is not None and self.source.kind == "command line"

    @property
    def origin(self) -> str:
        """The source as text: ``set by the command line: n_head=7   (was 20, conf/model/large.yaml:3)``."""
        if self.source is None:
            return ""
        words = {
            "set": self._default if self.source.kind == "default" else self.source.describe(),
            "deleted": f"deleted by {self.source}",
            "chose": f"chosen by {self.source}",
            "word": "on the command line",
        }[self.action]
        if self.replaced is not None:
            words += f"   (was {format_value(self.replaced.value)}, {self.replaced.source})"
        if not self.is_typed:  # the last override probably broke the rule
            typed = ((key, source) for key, source in self.others.items() if source and source.kind == "command line")
            words += next((f"; {key} is {source.describe()}" for key, source in typed), "")
        return words

    @property
    def _default(self) -> str:
        """The origin of a default; empty for a required key, which has none."""
        return "" if self.value is ABSENT else f"{self.key} is {format_value(self.value)} by default"

    @property
    def suggestion(self) -> str:
        """The remedy as text to paste: ``model.n_head=8``; empty if there is none."""
        return " ".join(map(quote_for_bash, ["-m"] * self.multirun + self.remedy_words)) if self.remedy else ""

    @property
    def remedy_words(self) -> list[str]:
        """The overrides of the remedy, not quoted for a shell."""
        return [f"~{key}" if value is ABSENT else format_override(key, value) for key, value in self.remedy.items()]

    def __str__(self) -> str:
        lines = [self.head, f"  {self.rule}"]
        if self.origin:
            lines.append(f"  {self.origin}")
        if self.remedy:
            lines.append(f"  try: {self.suggestion}")
        return "\n".join(map(escape_unprintable, lines))

    def with_sources(self, of: Callable[[Source], Source]) -> Violation:
        """Return a copy with ``of(source)`` in place of each source."""
        others = {key: source and of(source) for key, source in self.others.items()}
        return dataclasses.replace(self, source=self.source and of(self.source), others=others)

    def below(self, section: str) -> Violation:
        """Return a copy for a larger configuration: the key ``section`` comes before every key."""
        remedy = {f"{section}.{key}": value for key, value in self.remedy.items()}
        others = {f"{section}.{key}": source for key, source in self.others.items()}
        return dataclasses.replace(self, key=f"{section}.{self.key}", remedy=remedy, others=others)

    def to_dict(self) -> dict[str, Any]:
        """All facts as JSON values; ``origin`` and ``suggestion`` are the texts of a report."""
        facts: dict[str, Any] = {"key": self.key, "rule": self.rule}
        if self.value is not ABSENT:
            facts["value"] = to_jsonable(self.value)
        if self.source is not None:
            facts |= {"source": self.source.to_dict(), "action": self.action, "origin": self.origin}
        if self.replaced is not None:
            facts["replaced"] = self.replaced.to_dict()
        if any(self.others.values()):
            facts["others"] = {key: source.to_dict() for key, source in self.others.items() if source is not None}
        if self.remedy:
            remedy = {key: {"deleted": True} if each is ABSENT else to_jsonable(each) for key, each in self.remedy.items()}
            facts |= {"remedy": remedy, "multirun": self.multirun, "suggestion": self.suggestion}
        return facts


MAX_SHOWN = 50
"""A report shows the first 50 violations and gives the number of the others."""


class ConfigError(ValueError, AssertionError):
    """An invalid configuration. ``violations`` has every broken rule; ``str()`` is the report for the user.

    It is a ``ValueError``, and also an ``AssertionError``, for code that expects an ``assert``.
    """

    def __init__(self, violations: Iterable[Violation], subject: str = "the configuration") -> None:
        """Args: subject: the thing that has the problems, for the first line of the report."""
        self.violations, self.subject = tuple(violations), subject
        super().__init__(self.violations)

    def __str__(self) -> str:
        return self.format()

    def format(self, outcome: str = "") -> str:
        """The report; ``outcome`` is the consequence, such as ``nothing was started``."""
        head = f"{pluralize(len(self.violations), 'problem')} in {self.subject}{'; ' if outcome else ''}{outcome}."
        shown = [_indent(str(violation)) for violation in self.violations[:MAX_SHOWN]]
        more = len(self.violations) - len(shown)
        return "\n\n".join([head, *shown, *([f"  ... and {pluralize(more, 'more problem')}."] if more else [])])

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values: ``{"violations": [...]}``, each from :meth:`Violation.to_dict`."""
        return {"violations": [violation.to_dict() for violation in self.violations]}


class UsageError(ConfigError):
    """Invalid arguments of a command: an option, a folder, or a file that it reads."""

    def __init__(self, violations: Iterable[Violation], subject: str = "the command line") -> None:
        super().__init__(violations, subject)


@contextmanager
def collect_violations(violations: list[Violation]) -> Iterator[None]:
    """Context manager: a ConfigError ends the block, and its violations are added to ``violations``."""
    try:
        yield
    except ConfigError as error:
        violations += error.violations


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def io_violation(key: str, path: object, error: BaseException, done: str = "looked at") -> Violation:
    """The violation of a path that cannot be examined, read or written; ``done`` says which: ``written``."""
    return Violation(key, path, f"cannot be {done}: {error_reason(error)}")
