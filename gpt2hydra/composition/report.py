"""What was found in a conf tree: each :class:`Problem` with its file and line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gpt2hydra.composition.layers import displayed
from gpt2hydra.config.errors import Source, Violation


@dataclass(frozen=True)
class Problem:
    """What is wrong, where to change it, and the choice with which it was found, if that matters."""

    violation: Violation
    where: Source
    found_with: str = ""


@dataclass
class Report:
    """What was looked at, and everything that is wrong with it."""

    files: list[str]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, problem: Problem) -> None:
        """Add a problem, unless it is there already: a file may be taken in by many choices."""
        one = problem.violation
        if all(
            (one.key, one.rule, problem.where) != (each.violation.key, each.violation.rule, each.where)
            for each in self.problems
        ):
            self.problems.append(problem)

    def add_violation(self, violation: Violation, file: Path, found_with: str = "") -> None:
        """Add a violation at the line that set it, in any file; at the top of ``file`` if no line did."""
        name = displayed(str(file))
        named = [each for each in (violation.source, *violation.others.values()) if each is not None and each.kind == "file"]
        here = next((each for each in named if each.file == name), None)
        where = here or next(iter(named), None) or Source("file", name, 1)
        self.add(Problem(violation, where, "" if where.file == name else found_with))
