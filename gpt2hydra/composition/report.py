"""The report of ``gpt2hydra check``: the violations in a conf tree, each with its file and line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gpt2hydra.composition.layers import display_path
from gpt2hydra.config.errors import Source, Violation


@dataclass(frozen=True)
class LocatedViolation:
    """A violation, the place to change, and the overrides that revealed it if they choose another file."""

    violation: Violation
    where: Source
    found_with: str = ""


@dataclass
class Report:
    """The files that were checked, and all violations in them."""

    files: list[str]
    problems: list[LocatedViolation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, problem: LocatedViolation) -> None:
        """Add a problem if it is new: a file may be included by many choices."""
        one = problem.violation
        if all(
            (one.key, one.rule, problem.where) != (each.violation.key, each.violation.rule, each.where)
            for each in self.problems
        ):
            self.problems.append(problem)

    def add_violation(self, violation: Violation, file: Path, found_with: str = "") -> None:
        """Add a violation at the line that set it, in any file; at line 1 of ``file`` if none did."""
        name = display_path(str(file))
        named = [each for each in (violation.source, *violation.others.values()) if each is not None and each.kind == "file"]
        own = next((each for each in named if each.file == name), None)
        where = own or next(iter(named), None) or Source("file", name, 1)
        self.add(LocatedViolation(violation, where, "" if where.file == name else found_with))
