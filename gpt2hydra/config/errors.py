"""The report on a configuration that is refused: :class:`Violation`, one broken rule, and :class:`ConfigError`, all of them.

Who set a value (:class:`Source`, :class:`Setting`) and what to type instead are kept as data; they become
words here, when a report is printed. Standard library only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from gpt2hydra.utils.formatting import counted, plain, printable, reason_of, show
from gpt2hydra.utils.quoting import for_bash, override


class Absent(Enum):
    """Stands where there is no value. An enum, so that a copied or unpickled member is the same one."""

    ABSENT = "(no value)"
    DELETED = "(deleted)"

    def __repr__(self) -> str:
        return str(self.value)


ABSENT: Any = Absent.ABSENT
"""There is no value: a missing key, a field without a default. In a remedy: delete the key."""

DELETED: Any = Absent.DELETED
"""There was a value, and it was deleted."""


# ----------------------------------------------------------------------------------------------------- who set a value


@dataclass(frozen=True)
class Source:
    """Who set a value. ``str()`` names it in a report.

    Args:
        kind: ``default``: the schema. ``file``: a YAML file. ``ConfigStore``: a config that Python stored
            there. ``command line``: an override, also one that was given to ``compose``. ``untraced``: nobody
            can tell.
        file: the file's path, relative to the current directory where it lies below; the name of a node of
            the ConfigStore.
        line: of the file, from 1; None where no line is meant.
        override: as it was typed; None where it is an option or a word that is no override.
        items: the line of each element, where the value is a list in a file.
    """

    kind: Literal["default", "file", "ConfigStore", "command line", "untraced"]
    file: str | None = None
    line: int | None = None
    override: str | None = None
    items: tuple[int, ...] = field(default=(), compare=False, repr=False)

    def of_item(self, index: int) -> Source:
        """The source of one element of a list: that of the list, with the element's own line."""
        return dataclasses.replace(self, line=self.items[index], items=()) if index < len(self.items) else self

    def __str__(self) -> str:
        names = {
            "default": "the default",
            "file": self.file if self.line is None else f"{self.file}:{self.line}",
            "ConfigStore": f"the ConfigStore: {self.file}",
            "command line": "the command line" if self.override is None else f"the command line: {show(self.override)}",
            "untraced": "could not be traced exactly",
        }
        return str(names[self.kind])

    def set_it(self) -> str:
        """``set by conf/train.yaml:3``, ``the default``."""
        return str(self) if self.kind in ("default", "untraced") else f"set by {self}"

    def to_dict(self) -> dict[str, Any]:
        """What is known of kind, file, line and override; ``Source(**mapping)`` is the inverse."""
        return {name: value for name, value in vars(self).items() if value is not None and name != "items"}


DEFAULT = Source("default")


def command_line(override: str | None = None) -> Source:
    """An override as typed, or the command line as such."""
    return Source("command line", override=override)


@dataclass(frozen=True)
class Setting:
    """One source that set one key.

    ``value`` is raw: not converted to the schema's type, interpolations not resolved; ``DELETED`` where the
    source deleted the key. ``written`` is the text of a plain YAML scalar, which YAML may read as something
    else: ``012`` is 10, ``1:30`` is 90, ``yes`` is true. Of a list it is a tuple of those of its elements;
    None of what was not written in YAML.
    """

    key: str
    value: object
    source: Source
    written: Any = None

    def __str__(self) -> str:
        return f"{self.key} = {show(self.value)}"

    def to_dict(self) -> dict[str, Any]:
        """Value and source for JSON; ``deleted`` in place of a value that was deleted."""
        value = {"deleted": True} if self.value is DELETED else {"value": plain(self.value)}
        return {**value, "source": self.source.to_dict()}


# ------------------------------------------------------------------------------------------------------- what is wrong


@dataclass(frozen=True)
class Violation:
    """One broken rule.

    Args:
        key: dotted, ``model.n_head``.
        value: what was received; ``ABSENT`` where nothing was.
        rule: what the value must obey, in words.
        source: who set it; None in plain Python.
        remedy: keys to set instead, with their values; ``ABSENT`` deletes one (``~key``).
        multirun: several values were given for one; the remedy is a sweep, which takes ``-m``.
        action: what the source did: it ``set`` the key, ``deleted`` it, ``chose`` the file that is wrong, or
            holds a ``word`` that is no override.
        replaced: the setting before that of ``source``, if it had another value.
        others: the other keys that the rule is about, with who set them as far as that is known.
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
        """``model.n_head = 7``, or the key alone where there is no value."""
        return self.key if self.value is ABSENT else f"{self.key} = {show(self.value)}"

    @property
    def is_typed(self) -> bool:
        """Whether the command line set it."""
        return self.source is not None and self.source.kind == "command line"

    @property
    def origin(self) -> str:
        """Who set it, in words: ``set by the command line: model.n_head=7   (was 20, conf/model/large.yaml:3)``."""
        if self.source is None:
            return ""
        words = {
            "set": self._default if self.source.kind == "default" else self.source.set_it(),
            "deleted": f"deleted by {self.source}",
            "chose": f"chosen by {self.source}",
            "word": "on the command line",
        }[self.action]
        if self.replaced is not None:
            words += f"   (was {show(self.replaced.value)}, {self.replaced.source})"
        if not self.is_typed:  # what the user typed last broke the rule
            typed = ((key, source) for key, source in self.others.items() if source and source.kind == "command line")
            words += next((f"; {key} is {source.set_it()}" for key, source in typed), "")
        return words

    @property
    def _default(self) -> str:
        """Nothing of a value that must be given, which has none."""
        return "" if self.value is ABSENT else f"{self.key} is {show(self.value)} by default"

    @property
    def suggestion(self) -> str:
        """The remedy to paste: ``model.n_head=8``; empty where there is none."""
        return " ".join(map(for_bash, ["-m"] * self.multirun + self.remedy_words)) if self.remedy else ""

    @property
    def remedy_words(self) -> list[str]:
        """The overrides of the remedy, without the quotes that a shell needs."""
        return [f"~{key}" if value is ABSENT else override(key, value) for key, value in self.remedy.items()]

    def __str__(self) -> str:
        lines = [self.head, f"  {self.rule}"]
        if self.origin:
            lines.append(f"  {self.origin}")
        if self.remedy:
            lines.append(f"  try: {self.suggestion}")
        return "\n".join(map(printable, lines))

    def with_sources(self, of: Callable[[Source], Source]) -> Violation:
        """The same with ``of(source)`` in place of each source."""
        others = {key: source and of(source) for key, source in self.others.items()}
        return dataclasses.replace(self, source=self.source and of(self.source), others=others)

    def below(self, place: str) -> Violation:
        """The same of a part of a larger config: every key stands below ``place``."""
        remedy = {f"{place}.{key}": value for key, value in self.remedy.items()}
        others = {f"{place}.{key}": source for key, source in self.others.items()}
        return dataclasses.replace(self, key=f"{place}.{self.key}", remedy=remedy, others=others)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON holds it; ``origin`` and ``suggestion`` are the words of a report."""
        facts: dict[str, Any] = {"key": self.key, "rule": self.rule}
        if self.value is not ABSENT:
            facts["value"] = plain(self.value)
        if self.source is not None:
            facts |= {"source": self.source.to_dict(), "action": self.action, "origin": self.origin}
        if self.replaced is not None:
            facts["replaced"] = self.replaced.to_dict()
        if any(self.others.values()):
            facts["others"] = {key: source.to_dict() for key, source in self.others.items() if source is not None}
        if self.remedy:
            remedy = {key: {"deleted": True} if each is ABSENT else plain(each) for key, each in self.remedy.items()}
            facts |= {"remedy": remedy, "multirun": self.multirun, "suggestion": self.suggestion}
        return facts


MOST_SHOWN = 50
"""Of more violations a report shows so many, and counts the others."""


class ConfigError(ValueError, AssertionError):
    """A configuration was refused. ``violations`` holds every broken rule; ``str()`` is the report that a user reads.

    It is a ``ValueError``, and an ``AssertionError`` for callers who come from course material that asserts.
    """

    def __init__(self, violations: Iterable[Violation], subject: str = "the configuration") -> None:
        """Args: subject: what the problems are in, for the head of the report."""
        self.violations, self.subject = tuple(violations), subject
        super().__init__(self.violations)

    def __str__(self) -> str:
        return self.format()

    def format(self, outcome: str = "") -> str:
        """The report; ``outcome`` says what came of it, ``nothing was started``."""
        head = f"{counted(len(self.violations), 'problem')} in {self.subject}{'; ' if outcome else ''}{outcome}."
        shown = [_indent(str(violation)) for violation in self.violations[:MOST_SHOWN]]
        more = len(self.violations) - len(shown)
        return "\n\n".join([head, *shown, *([f"  ... and {counted(more, 'more problem')}."] if more else [])])

    def to_dict(self) -> dict[str, Any]:
        """The report for a program: ``{"violations": [...]}``, each as :meth:`Violation.to_dict` has it."""
        return {"violations": [violation.to_dict() for violation in self.violations]}


class UsageError(ConfigError):
    """What a command was given is refused: an option, a folder, a file that it reads."""

    def __init__(self, violations: Iterable[Violation], subject: str = "the command line") -> None:
        super().__init__(violations, subject)


@contextmanager
def collect_violations(violations: list[Violation]) -> Iterator[None]:
    """Within, a refusal ends the block, and adds to ``violations`` what is to be reported with others."""
    try:
        yield
    except ConfigError as error:
        violations += error.violations


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def unreadable(key: str, path: object, error: BaseException, done: str = "looked at") -> Violation:
    """The violation of a path that cannot be looked at, read or written."""
    return Violation(key, path, f"cannot be {done}: {reason_of(error)}")
