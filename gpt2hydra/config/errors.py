"""What is said of a configuration that is refused: :class:`Violation`, one broken rule, and :class:`ConfigError`, all of them.

Standard library only.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gpt2hydra.config.words import show

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "(no value)"})()
"""Stands for 'there is no value': a missing key, a field without a default."""

COMMAND_LINE = "the command line: "
"""Begins the source of a value that an override set; the override as typed follows."""


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


def assignment(key: str, value: object) -> str:
    """``key=value`` to paste into a shell: text that Hydra or the shell would read otherwise is quoted for both."""
    if not isinstance(value, str) or re.fullmatch(r"[\w./:@%+-]+", value, re.ASCII) or value in ("...", "FOLDER"):
        return f"{key}={show(value)}"
    quoted = value.replace("'", "\\'")
    return shlex.quote(f"{key}='{quoted}'") if set(value) & set("\"$`\\!'") else f"\"{key}='{quoted}'\""
