"""The check of a sweep: every point is composed and validated before the first job starts. :mod:`.sweep` runs it."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from gpt2hydra.cli.exit import tell
from gpt2hydra.composition.composer import Composer, task_overrides
from gpt2hydra.config.checked import Checked
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.table import table, wrapped

MOST_POINTS = 100_000
"""An adaptive sweeper's space larger than this is checked value by value instead of point by point."""

Point = list[str]


@dataclass
class Preflight:
    """What the check of a sweep found. ``valid`` and ``invalid`` are keyed by the point's number."""

    points: list[Point]
    valid: dict[int, Checked] = field(default_factory=dict)
    invalid: dict[int, tuple[Violation, ...]] = field(default_factory=dict)
    skip: bool = False
    """Run the valid points where others are not."""
    can_skip: bool = True
    """Whether the sweeper could do so."""

    def compose(self, composer: Composer) -> None:
        """Compose and validate each point."""
        for number, point in enumerate(self.points):
            try:
                self.valid[number] = composer.instantiate(point, job=number)
            except ConfigError as error:
                self.invalid[number] = _with_origins(composer, point, error.violations)
            except Exception as error:
                from gpt2hydra.composition.refusal.report import refusal_of

                self.invalid[number] = refusal_of(composer, point, error).violations

    def look(self, composer: Composer, problems_of: Callable[[Checked], Sequence[Violation]]) -> None:
        """Look at what else each valid point needs; one that has problems is valid no more."""
        self.look_at_each(composer, lambda number, config: problems_of(config))

    def look_at_each(self, composer: Composer, problems_of: Callable[[int, Checked], Sequence[Violation]]) -> None:
        """The same, by number and configuration."""
        for number, config in list(self.valid.items()):
            problems = problems_of(number, config)
            if problems:
                self.leave_out([number])
                self.invalid[number] = _with_origins(composer, self.points[number], problems)

    def leave_out(self, numbers: Sequence[int]) -> None:
        """These points are not run."""
        for number in numbers:
            del self.valid[number]

    def to_dict(self) -> dict[str, Any]:
        """What :meth:`told` says, for a program."""
        invalid = [
            {"point": number, "overrides": self.points[number], "violations": [each.to_dict() for each in violations]}
            for number, violations in sorted(self.invalid.items())
        ]
        return {"points": len(self.points), "valid": sorted(self.valid), "invalid": invalid}

    def told(self) -> str:
        """The invalid points: number, overrides, what is wrong and what to type instead."""
        lines = []
        for number, violations in sorted(self.invalid.items()):
            lines.append(f"  #{number}  {' '.join(self.points[number])}")
            lines += [line for each in violations for line in wrapped(summary(each), indent="      ")]
        return "\n".join(lines)


def summary(violation: Violation) -> str:
    """A violation on one line; who set it is said unless the overrides, which stand beside it, tell."""
    sources = (violation.source, *violation.others.values())
    typed = any(source is not None and source.kind == "command line" for source in sources)
    origin = f" ({violation.origin})" if violation.origin and not typed else ""
    remedy = f"; try: {violation.suggestion}" if violation.remedy else ""
    return f"{violation.head} {violation.rule}{origin}{remedy}"


def preflight(composer: Composer, points: list[Point]) -> Preflight:
    """Compose and validate each point."""
    found = Preflight(points)
    found.compose(composer)
    return found


def _with_origins(composer: Composer, point: Point, violations: Sequence[Violation]) -> tuple[Violation, ...]:
    return tuple(map(composer.trace(point).blame, violations))


# ------------------------------------------------------------------------------------------------------- the points


def expand(composed: DictConfig, composer: Composer) -> tuple[list[Point], list[str]]:
    """Every point that the sweep can visit, as override lists, and what cannot be known beforehand.

    Raises:
        ConfigError: a space to sweep over cannot be read, is empty, or is more than the sweeper can visit.
    """
    overrides = [_read(key, text, composer) for key, text in _spaces(composed)]
    if is_basic(composed):
        _refuse_what_is_no_list(overrides)
    axes, notes = _axes(overrides)
    count = math.prod(map(len, axes))
    if is_basic(composed) or count <= MOST_POINTS:
        return [list(point) for point in itertools.product(*axes)], notes
    notes.append(f"{count:,} combinations are too many to check: each value was checked with the first of the others")
    first = [axis[0] for axis in axes]
    return [[*first[:i], value, *first[i + 1 :]] for i, axis in enumerate(axes) for value in axis], notes


def _refuse_what_is_no_list(overrides: list[Override]) -> None:
    for override in overrides:
        if override.is_interval_sweep():
            rule = "is not a list of values: Hydra's basic sweeper needs range(...), choice(...) or 1,2"
        elif override.is_sweep_override() and not any(True for _ in override.sweep_string_iterator()):
            rule = "has no values to sweep over"
        else:
            continue
        raise ConfigError([Violation(override.get_key_element(), (override.input_line or "").partition("=")[2], rule)])


def _spaces(composed: DictConfig) -> list[tuple[str, str]]:
    """``(who set it, override)`` of everything that makes up the points."""
    parameters = composed.hydra.sweeper.get("params") or {}
    if not isinstance(parameters, Mapping):
        rule = "must map keys to what to sweep over: 1,2 or choice(1,2)"
        raise ConfigError([Violation("hydra.sweeper.params", parameters, rule)])
    inside = [(f"hydra.sweeper.params.{key}", f"{key}={parameters[key]}") for key in parameters]
    return inside + [(text.partition("=")[0], text) for text in task_overrides(composed.hydra)]


def _read(key: str, text: str, composer: Composer) -> Override:
    try:
        return OverridesParser.create(config_loader=composer.loader).parse_overrides([text])[0]
    except Exception as error:
        reason = str(error).partition("\n")[0].partition(" expecting ")[0]
        rule = f"is nothing that Hydra can sweep over ({reason})"
        raise ConfigError([Violation(key, text.partition("=")[2], rule)]) from None


def is_basic(composed: DictConfig, role: str = "sweeper") -> bool:
    """Whether Hydra's basic sweeper, whose points are known beforehand, is to run; or its basic launcher, in this process."""
    basic = ConfigStore.instance().load(f"hydra/{role}/basic.yaml").node
    return bool(composed.hydra[role].get("_target_") == basic["_target_"])


def _axes(overrides: list[Override]) -> tuple[list[list[str]], list[str]]:
    """For each key what it may be, the last override of it alone; and what cannot be known beforehand."""
    axes: dict[str, list[str]] = {}
    notes = []
    for override in overrides:
        key = override.get_key_element()
        if override.is_interval_sweep():
            interval: Any = override.value()
            axes[key] = [f"{key}={end}" for end in (interval.start, interval.end)]
            notes.append(f"{override.input_line}: only its two ends were checked")
        elif override.is_sweep_override():
            axes[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            axes[key] = [f"{key}={override.get_value_element_as_str()}"]
    return list(axes.values()), notes


# ------------------------------------------------------------------------------------------------------- what is said


def report(found: Preflight, notes: Sequence[str] = ()) -> None:
    """Print what was found; exit with 1 where something is invalid, unless that is to be skipped.

    ``GPT2HYDRA_ERRORS=json`` makes it lines of JSON: the notes, then :meth:`Preflight.to_dict`.
    """
    for note in notes:
        tell(f"preflight: {note}\n", {"note": note})
    if not found.invalid:
        return
    total, bad, skip = len(found.points), len(found.invalid), found.skip and bool(found.valid)
    outcome = f"the other {len(found.valid)} run" if skip else "nothing was started"
    words = f"{bad} of {total} points {'is' if bad == 1 else 'are'} invalid; {outcome}.\n\n{found.told()}\n\n"
    if not skip and found.valid and found.can_skip:
        words += f"Correct them, or run the other {len(found.valid)} with preflight=skip_invalid.\n"
    tell(words, {**found.to_dict(), "skipped": skip})
    if not skip:
        sys.exit(1)
    found.invalid.clear()


def warn_of_memory(found: Preflight) -> None:
    """Say on standard error which points are not expected to fit on this machine."""
    from gpt2hydra.config.run import TrainConfig

    configs = {number: config for number, config in found.valid.items() if isinstance(config, TrainConfig)}
    if not configs:
        return
    from gpt2hydra.sizing.fit import on_this_machine
    from gpt2hydra.sizing.plan import Plan

    large = [f"#{number}" for number, config in configs.items() if Plan(on_this_machine(config)).fits is False]
    if large:
        shown = ", ".join(large[:10]) + ", ..." * (len(large) > 10)
        exceed = f"{len(large)} of {len(found.points)} points exceed{'s' * (len(large) == 1)} the memory"
        sys.stderr.write(f"warning: by prediction {exceed}: {shown}; dry_run=true shows by how much.\n\n")


def print_points(found: Preflight, numbers: Sequence[int]) -> None:
    """The table of what would run."""
    from gpt2hydra.config.run import TrainConfig

    configs = {number: found.valid[number] for number in numbers}
    of_training = {number: config for number, config in configs.items() if isinstance(config, TrainConfig)}
    if of_training == configs:
        from gpt2hydra.sizing.plan import Plan
        from gpt2hydra.sizing.report import compare

        print(compare([(number, found.points[number], Plan(config)) for number, config in of_training.items()]))
    else:
        print("\n".join(table([(f"#{number}", " ".join(found.points[number])) for number in numbers])))
