"""Sweeps, which :mod:`.preflight` checks first. Hydra's sweepers and launchers do the running.

What a sweep costs beyond its jobs is one quick composition of each point; for Hydra's basic sweeper, that
replaces the check by full composition that it would make itself.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from gpt2hydra.composition.compose import compose_and_check, refusal_of
from gpt2hydra.composition.composer import Composer, Composition
from gpt2hydra.composition.hydra_compat import make_callbacks
from gpt2hydra.composition.hydra_errors import making
from gpt2hydra.composition.hydra_state import parse, task_overrides
from gpt2hydra.config.errors import ConfigError, Violation, collect_violations, command_line
from gpt2hydra.config.validation import Checked
from gpt2hydra.launch.checks import Context, readable, run_checks
from gpt2hydra.launch.extras import absent_modules
from gpt2hydra.launch.hydra_components import (
    READ_BY_A_JOB,
    READ_BY_A_SWEEP,
    check_chosen,
    check_references,
    compose_valid_overrides,
    with_origin,
)
from gpt2hydra.launch.jobs import PointSweeper, SweepJob
from gpt2hydra.launch.notes import note_overruled, print_points, warn_of_points
from gpt2hydra.launch.points import Point, expand, is_basic
from gpt2hydra.launch.preflight import Preflight
from gpt2hydra.launch.resume import RunLocation, locate_point, summary_of
from gpt2hydra.launch.sweep_directories import locate_points
from gpt2hydra.runs.comparison import Comparison
from gpt2hydra.runs.comparison_table import format_runs
from gpt2hydra.runs.directory import check_directory
from gpt2hydra.training.processes import Process
from gpt2hydra.utils.formatting import reason_of


def sweep(composer: Composer, overrides: Sequence[str], task: Callable[[Checked, DictConfig], Any], extra: str | None) -> None:
    """Check every point, and what starts them; then let Hydra's sweeper and launcher run them."""
    composed = _compose(composer, [*overrides, "hydra.mode=MULTIRUN"])
    check_references(composed, *READ_BY_A_SWEEP, *READ_BY_A_JOB)
    check_chosen(composed)
    composer = composer.of_sweep(composed)
    found = _preflight(composer, composed, overrides, extra)
    if found.points:
        first = composer.fold(found.points[0])
        note_overruled(first.overrides, first.provenance)
    found.settle()
    if found.dry:
        print_points(found)
        found.leave_out(found.dry)
    if not found.starting:
        return
    here = is_basic(composed, "launcher")
    if extra and here:
        warn_of_points(found)
    points = _continued(found, here) if found.locations else found.starting
    _run(composer, composed, points, SweepJob(task, composer.config_class, checked=found.checks, numbers=not here))


def _preflight(composer: Composer, composed: DictConfig, overrides: Sequence[str], extra: str | None) -> Preflight:
    """All that can be found before the first job: in each point, in what all share, and in what starts them."""
    mode, basic = str(composed.get("preflight", "strict")), is_basic(composed)
    can_skip = basic and "preflight" in composed
    found = Preflight(skip=mode == "skip_invalid" and basic, can_skip=can_skip)
    found.checks = mode != "off" or composed.get("dry_run") is True
    with collect_violations(found.own):
        found.points, found.notes = expand(composed, composer)
    if found.own:  # there are no points; what all would share is looked at without them
        with collect_violations(found.own):
            compose_and_check(composer, [text for text in overrides if not _sweeps(text)])
    there = None if extra and absent_modules(extra) else extra  # what is absent is reported once, of the sweep
    point_context = Context(process=Process(), extra=there, here=is_basic(composed, "launcher"), sweep=True)
    if found.checks:
        found.compose(composer)
        found.check_points(composer, lambda number, config: run_checks(replace(point_context, config=config)))
    if found.starting or not found.dry:
        directories: dict[int, Path] = {}
        locate = lambda: directories.update(locate_points(composer, composed, found.starting))  # noqa: E731
        found.own += run_checks(Context(composed=composed, extra=extra, sweep=True, locate=locate))
        if basic and found.checks:
            found.locations = _locations(composer, found, directories)
    found.own = [with_origin(each, overrides, lambda: composer) for each in found.own]
    return found


def _locations(composer: Composer, found: Preflight, directories: Mapping[int, Path]) -> dict[int, RunLocation]:
    """Where each point writes; one that cannot be resumed there is valid no more."""
    locations: dict[int, RunLocation] = {}

    def problems_of(number: int, config: Checked) -> Sequence[Violation]:
        violations: list[Violation] = []
        with collect_violations(violations):
            if number in directories:
                locations[number] = locate_point(config, directories[number])
        return violations

    found.check_points(composer, problems_of)
    return locations


def _continued(found: Preflight, here: bool) -> dict[int, Point]:
    """The points that are still to run, ``here`` or elsewhere. One that began earlier keeps its ``.hydra``."""
    locations = found.locations
    began = {number for number, location in locations.items() if location.state != "beginning"}
    finished = {number for number in began if locations[number].state == "finished"}
    if began:
        sys.stderr.write(f"{summary_of(locations)}.\n")
    if here:
        found.leave_out(sorted(finished))
    # Other launchers start all points at once, and count on from the first: those that have finished return without a trace.
    kept, silent = ["hydra.output_subdir=null"], ["++hydra.job_logging.root=null"]
    return {number: found.points[number] + kept * (number in began) + silent * (number in finished) for number in found.valid}


def _run(composer: Composer, composed: DictConfig, points: Mapping[int, Point], job: SweepJob) -> None:
    with making("hydra", "names a launcher, sweeper or callback that cannot be made"):
        callbacks = make_callbacks(composed)
        context = HydraContext(config_loader=composer.loader, callbacks=callbacks)
        sweeper = _sweeper(composed, context, job, points)
    callbacks.on_multirun_start(config=composed, config_name=composer.config_name)
    with _printing_how_it_ended(sweeper, job):
        returns = sweeper.sweep(arguments=task_overrides(composed.hydra))
    callbacks.on_multirun_end(config=composed, config_name=composer.config_name)
    _print_table(composed)
    _report_failures(dict(zip(sorted(points), returns, strict=True)) if isinstance(sweeper, PointSweeper) else {})


@contextmanager
def _printing_how_it_ended(sweeper: Sweeper, job: SweepJob) -> Iterator[None]:
    """Within, an error of a sweeper or launcher is printed in a line; a job's has been printed."""
    try:
        yield
    except (ConfigError, BrokenPipeError):
        raise
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        if error not in job.failures:
            cause = error.__cause__ if isinstance(error, HydraException) else None
            cause = None if type(cause).__name__ == "_RemoteTraceback" else cause  # joblib's, of another process
            sys.stderr.write(f"The sweep was ended by {type(sweeper).__name__}: {reason_of(cause or error)}\n")
        sys.exit(1)


def _print_table(composed: DictConfig) -> None:
    """The runs of a sweep, the best first, on standard output; nothing where its jobs left no record."""
    comparison = Comparison.below(Path(composed.hydra.sweep.dir))
    if comparison.runs:
        print()
        print(format_runs(comparison))


def _compose(composer: Composer, overrides: list[str]) -> DictConfig:
    sweeping = [text for text in overrides if _sweeps(text)]
    fixed = [text for text in overrides if text not in sweeping]

    def find_further(right: Composition) -> Iterator[Violation]:
        """What is wrong with the values to sweep over, each tried alone, and with what starts the sweep."""
        rest = right.overrides.texts
        yield from _swept_problems(composer, rest, sweeping)
        composed = compose_valid_overrides(composer, rest, RunMode.MULTIRUN)
        if composed is None:
            return
        config, unread = readable(right)
        context = Context(config, unread, composed, Process(), sweep=True, locate=partial(_look_at_directory, composed))
        yield from run_checks(context)

    try:
        return composer.compose_by_hydra(overrides, RunMode.MULTIRUN)
    except Exception as error:  # Hydra, OmegaConf and PyYAML raise what they like
        raise refusal_of(composer, fixed, error, find_further) from error


def _look_at_directory(composed: DictConfig) -> None:
    try:
        directory = Path(composed.hydra.sweep.dir)
    except Exception:  # a reference that cannot be resolved is reported later
        return
    check_directory(directory, "hydra.sweep.dir")


def _sweeps(text: str) -> bool:
    try:
        return parse(text).is_sweep_override()
    except Exception:  # it is reported as an override that cannot be read
        return False


def _swept_problems(composer: Composer, rest: Sequence[str], sweeping: Sequence[str]) -> Iterator[Violation]:
    from gpt2hydra.composition.suggest import MOST_POINTS  # with all that only a refusal needs

    for text in sweeping:
        override = parse(text)
        with suppress(Exception):  # a space that only another sweeper reads
            values = itertools.islice(override.sweep_string_iterator(), MOST_POINTS)
            words = [f"{override.get_key_element()}={value}" for value in values]
            found = Preflight([[*rest, word] for word in words])
            found.compose(composer)
            for number, violations in found.invalid.items():
                typed = (each for each in violations if each.source == command_line(words[number]))
                yield from (replace(each, source=command_line(text), remedy={}) for each in typed)  # that is for one value


def _sweeper(composed: DictConfig, context: HydraContext, job: SweepJob, points: Mapping[int, Point]) -> Sweeper:
    if not is_basic(composed):
        return Plugins.instance().instantiate_sweeper(config=composed, hydra_context=context, task_function=job)
    sweeper = PointSweeper(points, composed.hydra.sweeper.max_batch_size)
    sweeper.setup(config=composed, hydra_context=context, task_function=job)
    return sweeper


def _report_failures(returns: Mapping[int, JobReturn]) -> None:
    failed = [f"#{number}" for number, each in returns.items() if each.status is JobStatus.FAILED]
    if failed:
        sys.stderr.write(f"{len(failed)} of {len(returns)} jobs failed: {', '.join(failed)}\n")
        sys.exit(1)
