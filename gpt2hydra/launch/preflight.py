"""The check of a sweep: every point is composed and validated before the first job starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gpt2hydra.composition.compose import with_tried_remedies
from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_state import hydra_state
from gpt2hydra.config.errors import ABSENT, ConfigError, Violation
from gpt2hydra.config.validation import Checked
from gpt2hydra.launch.checks import check_error, is_dry
from gpt2hydra.launch.handle_errors import report_line
from gpt2hydra.launch.points import Point
from gpt2hydra.launch.resume import RunLocation
from gpt2hydra.utils.table import wrapped
from gpt2hydra.utils.verbosity import with_counter


@dataclass
class Preflight:
    """What the check of a sweep found. ``valid`` and ``invalid`` are keyed by the point's number."""

    points: list[Point] = field(default_factory=list)
    valid: dict[int, Checked] = field(default_factory=dict)
    invalid: dict[int, tuple[Violation, ...]] = field(default_factory=dict)
    checks: bool = True
    """Whether points are composed and validated at all."""
    skip: bool = False
    """Run the valid points where others are not."""
    can_skip: bool = True
    """Whether the sweeper could do so."""
    notes: list[str] = field(default_factory=list)
    """What cannot be known beforehand."""
    own: list[Violation] = field(default_factory=list)
    """What is wrong with the sweep itself: where it writes, what starts its jobs."""
    locations: dict[int, RunLocation] = field(default_factory=dict)
    """Where each point that starts writes, and whether it continues there, as far as that was asked."""

    @property
    def dry(self) -> list[int]:
        """The valid points that are only to be shown."""
        return [number for number, config in self.valid.items() if is_dry(config)]

    @property
    def starting(self) -> dict[int, Point]:
        """The points that would start: of those that were checked the valid ones, but for dry runs."""
        numbers, dry = self.valid if self.checks else range(len(self.points)), {*self.dry}
        return {number: self.points[number] for number in numbers if number not in dry}

    def compose(self, composer: Composer) -> None:
        """Compose and validate each point."""
        with hydra_state():
            for number, point in enumerate(with_counter(self.points, "checking point")):
                found = composer.compose(point, job=number)
                if found.violations:
                    self.invalid[number] = tuple(map(self._for_a_sweep, with_tried_remedies(composer, found)))
                else:
                    self.valid[number] = found.config

    def _for_a_sweep(self, violation: Violation) -> Violation:
        """The violation without a remedy that deletes what only some points have: no value of a sweep deletes."""
        deleted = [key for key, value in violation.remedy.items() if value is ABSENT]
        swept = any(len({_value_of(key, point) for point in self.points}) > 1 for key in deleted)
        return replace(violation, remedy={}) if swept else violation

    def check_points(self, composer: Composer, problems_of: Callable[[int, Checked], Sequence[Violation]]) -> None:
        """Check what else each valid point needs, by its number; one that has problems is valid no more."""
        for number, config in list(self.valid.items()):
            problems = problems_of(number, config)
            if problems:
                self.leave_out([number])
                self.invalid[number] = _with_origins(composer, self.points[number], problems)

    def leave_out(self, numbers: Sequence[int]) -> None:
        """These points are not run."""
        for number in numbers:
            del self.valid[number]

    def settle(self) -> None:
        """Print the notes, and the invalid points that are left out.

        Raises:
            ConfigError: the sweep is refused.
        """
        for note in self.notes:
            report_line(f"preflight: {note}\n", {"note": note})
        if self.invalid and not self.skips:
            raise InvalidPoints(self)
        if self.own:
            raise check_error(self.own)
        if self.invalid:
            report_line(f"{self.format(f'the other {len(self.valid)} run')}\n\n", self.to_dict())
            self.invalid.clear()

    @property
    def skips(self) -> bool:
        """Whether invalid points are left out, and the others run."""
        return self.skip and bool(self.valid) and not self.own

    def to_dict(self) -> dict[str, Any]:
        """The content of a report for a program, point by point."""
        invalid = [
            {"point": number, "overrides": self.points[number], "violations": [each.to_dict() for each in violations]}
            for number, violations in sorted(self.invalid.items())
        ]
        counts = {"points": len(self.points), "valid": sorted(self.valid), "invalid": invalid}
        return {**counts, **ConfigError(self.own).to_dict(), "skipped": self.skips}

    def format(self, outcome: str) -> str:
        """The invalid points, those with the same problems together: number, overrides, problems, remedies."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for number, violations in sorted(self.invalid.items()):
            groups.setdefault(tuple(map(summary, violations)), []).append(number)
        bad = len(self.invalid)
        lines = [f"{bad} of {len(self.points)} points {'is' if bad == 1 else 'are'} invalid; {outcome}.", ""]
        for problems, numbers in groups.items():
            head = f"{_numbers(numbers)}  {_overrides([self.points[number] for number in numbers])}"
            lines += [f"  {head}"] if len(numbers) == 1 else wrapped(head, indent="  ")
            lines += [line for each in problems for line in wrapped(each, indent="      ")]
        return "\n".join(lines)


def _numbers(numbers: Sequence[int]) -> str:
    """``#1, #3-#5``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"#{run[0]}-#{run[-1]}" if len(run) > 1 else f"#{run[0]}" for run in runs)


def _value_of(key: str, point: Point) -> str:
    """What a point has for a key, as it was typed."""
    return next((text for text in reversed(point) if text.partition("=")[0].lstrip("+") == key), "")


MOST_VALUES = 8
"""Of one key, in the head of a group of points."""


def _overrides(points: Sequence[Point]) -> str:
    """``model.n_head=7 training.seed=1,2,3``: what the points share, and the values in which they differ."""
    if len({tuple(text.partition("=")[0] for text in point) for point in points}) > 1:
        return "; ".join(" ".join(point) for point in points)
    words = []
    for texts in zip(*points, strict=True):
        values = [*dict.fromkeys(text.partition("=")[2] for text in texts)]
        more = ["..."] * (len(values) > MOST_VALUES)
        words.append(texts[0] if len(values) == 1 else f"{texts[0].partition('=')[0]}={','.join(values[:MOST_VALUES] + more)}")
    return " ".join(words)


def summary(violation: Violation) -> str:
    """A violation on one line, with who set it unless the overrides above it show that."""
    sources = (violation.source, *violation.others.values())
    typed = any(source is not None and source.kind == "command line" for source in sources)
    origin = f" ({violation.origin})" if violation.origin and not typed else ""
    remedy = f"; try: {violation.suggestion}" if violation.remedy else ""
    return f"{violation.head} {violation.rule}{origin}{remedy}"


def _with_origins(composer: Composer, point: Point, violations: Sequence[Violation]) -> tuple[Violation, ...]:
    return tuple(map(composer.fold(point).provenance.blame, violations))


class InvalidPoints(ConfigError):
    """A sweep is refused for some of its points. ``violations`` holds what is wrong with the sweep itself."""

    def __init__(self, found: Preflight) -> None:
        super().__init__(found.own)
        self.found = found

    def __str__(self) -> str:
        valid, advice = len(self.found.valid), ""
        if valid and self.found.can_skip:
            advice = f"\nCorrect them, or run the other {valid} with preflight=skip_invalid."
        own = f"{self.format('nothing was started')}\n\n" if self.violations else ""
        return f"{own}{self.found.format('nothing was started')}\n{advice}"

    def to_dict(self) -> dict[str, Any]:
        """The report for a program, point by point."""
        return self.found.to_dict()
