"""The preflight of a sweep: compose and validate every point before the first job starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gpt2hydra.composition.compose import try_remedies
from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_state import hydra_state
from gpt2hydra.config.errors import ABSENT, ConfigError, Violation
from gpt2hydra.config.validation import Checked
from gpt2hydra.launch.checks import error_from_checks, is_dry
from gpt2hydra.launch.handle_errors import write_report
from gpt2hydra.launch.points import Point
from gpt2hydra.launch.resume import RunLocation
from gpt2hydra.utils.table import wrap_text
from gpt2hydra.utils.verbosity import show_counter


@dataclass
class Preflight:
    """The result of a preflight. ``valid`` and ``invalid`` are keyed by the number of the point."""

    points: list[Point] = field(default_factory=list)
    valid: dict[int, Checked] = field(default_factory=dict)
    invalid: dict[int, tuple[Violation, ...]] = field(default_factory=dict)
    checks: bool = True
    """Whether points are composed and validated."""
    skip_invalid: bool = False
    """Whether to run the valid points if others are invalid."""
    can_skip_invalid: bool = True
    """Whether the sweeper and the configuration allow that."""
    notes: list[str] = field(default_factory=list)
    """Notes on points that were not checked."""
    sweep_violations: list[Violation] = field(default_factory=list)
    """Violations of the sweep itself: its directory, its launcher, its sweeper."""
    locations: dict[int, RunLocation] = field(default_factory=dict)
    """Point → its directory, and whether it continues there; empty if that was not checked."""

    @property
    def dry_numbers(self) -> list[int]:
        """The valid points that are dry runs."""
        return [number for number, config in self.valid.items() if is_dry(config)]

    @property
    def points_to_start(self) -> dict[int, Point]:
        """The points that would start: all valid ones (all points if none were checked) except dry runs."""
        numbers, dry_numbers = self.valid if self.checks else range(len(self.points)), {*self.dry_numbers}
        return {number: self.points[number] for number in numbers if number not in dry_numbers}

    def compose(self, composer: Composer) -> None:
        """Compose and validate each point; fill ``valid`` and ``invalid``."""
        with hydra_state():
            for number, point in enumerate(show_counter(self.points, "checking point")):
                composition = composer.compose(point, job=number)
                if composition.violations:
                    self.invalid[number] = tuple(map(self._drop_swept_remedy, try_remedies(composer, composition)))
                else:
                    self.valid[number] = composition.config

    def _drop_swept_remedy(self, violation: Violation) -> Violation:
        """Drop a remedy that deletes a swept key: no value of a sweep can do that."""
        deleted = [key for key, value in violation.remedy.items() if value is ABSENT]
        is_swept = any(len({_value_of(key, point) for point in self.points}) > 1 for key in deleted)
        return replace(violation, remedy={}) if is_swept else violation

    def check_points(self, composer: Composer, check_point: Callable[[int, Checked], Sequence[Violation]]) -> None:
        """Check each valid point with another function; move a point with violations to ``invalid``."""
        for number, config in list(self.valid.items()):
            problems = check_point(number, config)
            if problems:
                self.leave_out([number])
                self.invalid[number] = _add_sources(composer, self.points[number], problems)

    def leave_out(self, numbers: Sequence[int]) -> None:
        """Remove these points from ``valid``."""
        for number in numbers:
            del self.valid[number]

    def report_violations(self) -> None:
        """Print the notes, and report the violations. If invalid points are skipped, remove them.

        Raises:
            ConfigError: there are violations, and they are not skipped.
        """
        for note in self.notes:
            write_report(f"preflight: {note}\n", {"note": note})
        if self.invalid and not self.skips_invalid:
            raise InvalidPoints(self)
        if self.sweep_violations:
            raise error_from_checks(self.sweep_violations)
        if self.invalid:
            write_report(f"{self.format(f'the other {len(self.valid)} run')}\n\n", self.to_dict())
            self.invalid.clear()

    @property
    def skips_invalid(self) -> bool:
        """Whether invalid points are skipped and the others run."""
        return self.skip_invalid and bool(self.valid) and not self.sweep_violations

    def to_dict(self) -> dict[str, Any]:
        """Return the content of a report for JSON, point by point."""
        invalid = [
            {"point": number, "overrides": self.points[number], "violations": [each.to_dict() for each in violations]}
            for number, violations in sorted(self.invalid.items())
        ]
        counts = {"points": len(self.points), "valid": sorted(self.valid), "invalid": invalid}
        return {**counts, **ConfigError(self.sweep_violations).to_dict(), "skipped": self.skips_invalid}

    def format(self, outcome: str) -> str:
        """Return invalid points, grouped by equal violations: numbers, overrides, violations, remedies."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for number, violations in sorted(self.invalid.items()):
            groups.setdefault(tuple(map(format_violation_line, violations)), []).append(number)
        bad = len(self.invalid)
        lines = [f"{bad} of {len(self.points)} points {'is' if bad == 1 else 'are'} invalid; {outcome}.", ""]
        for problems, numbers in groups.items():
            head = f"{_format_numbers(numbers)}  {_format_overrides([self.points[number] for number in numbers])}"
            lines += [f"  {head}"] if len(numbers) == 1 else wrap_text(head, indent="  ")
            lines += [line for each in problems for line in wrap_text(each, indent="      ")]
        return "\n".join(lines)


def _format_numbers(numbers: Sequence[int]) -> str:
    """Return ``#1, #3-#5``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"#{run[0]}-#{run[-1]}" if len(run) > 1 else f"#{run[0]}" for run in runs)


def _value_of(key: str, point: Point) -> str:
    """Return the value that a point sets for a key, as typed; "" if it sets none."""
    return next((text for text in reversed(point) if text.partition("=")[0].lstrip("+") == key), "")


MAX_SHOWN_VALUES = 8
"""The number of values of a key that the head of a group of points shows."""


def _format_overrides(points: Sequence[Point]) -> str:
    """Return the overrides of several points as one text: ``model.n_head=7 training.seed=1,2,3``."""
    if len({tuple(text.partition("=")[0] for text in point) for point in points}) > 1:
        return "; ".join(" ".join(point) for point in points)
    words = []
    for texts in zip(*points, strict=True):
        values = [*dict.fromkeys(text.partition("=")[2] for text in texts)]
        more = ["..."] * (len(values) > MAX_SHOWN_VALUES)
        words.append(
            texts[0] if len(values) == 1 else f"{texts[0].partition('=')[0]}={','.join(values[:MAX_SHOWN_VALUES] + more)}"
        )
    return " ".join(words)


def format_violation_line(violation: Violation) -> str:
    """Return a violation on one line, with its source, unless that is an override: it is shown above."""
    sources = (violation.source, *violation.others.values())
    is_typed = any(source is not None and source.kind == "command line" for source in sources)
    origin = f" ({violation.origin})" if violation.origin and not is_typed else ""
    remedy = f"; try: {violation.suggestion}" if violation.remedy else ""
    return f"{violation.head} {violation.rule}{origin}{remedy}"


def _add_sources(composer: Composer, point: Point, violations: Sequence[Violation]) -> tuple[Violation, ...]:
    return tuple(map(composer.fold(point).provenance.add_source, violations))


class InvalidPoints(ConfigError):
    """The error of a sweep with invalid points; ``violations`` holds those of the sweep itself."""

    def __init__(self, preflight: Preflight) -> None:
        super().__init__(preflight.sweep_violations)
        self.preflight = preflight

    def __str__(self) -> str:
        valid, advice = len(self.preflight.valid), ""
        if valid and self.preflight.can_skip_invalid:
            advice = f"\nCorrect them, or run the other {valid} with preflight=skip_invalid."
        head = f"{self.format('nothing was started')}\n\n" if self.violations else ""
        return f"{head}{self.preflight.format('nothing was started')}\n{advice}"

    def to_dict(self) -> dict[str, Any]:
        """Return the report for JSON, point by point."""
        return self.preflight.to_dict()
