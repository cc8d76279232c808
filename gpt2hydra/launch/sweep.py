"""Sweeps: :mod:`gpt2hydra.launch.preflight` checks all points; then Hydra's sweeper and launcher run them.

The preflight composes each point once, which is fast. It replaces the full composition with which Hydra's
basic sweeper checks a point.
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

from gpt2hydra.composition.compose import compose_and_check, refusal_after
from gpt2hydra.composition.composer import Composer, Composition
from gpt2hydra.composition.hydra_compat import make_callbacks
from gpt2hydra.composition.hydra_errors import instantiating
from gpt2hydra.composition.hydra_state import parse, task_overrides
from gpt2hydra.config.errors import ConfigError, Violation, collect_violations, command_line
from gpt2hydra.config.validation import Checked
from gpt2hydra.launch.checks import Context, build_from_valid_values, run_checks
from gpt2hydra.launch.extras import absent_modules
from gpt2hydra.launch.hydra_components import (
    JOB_KEYS,
    SWEEP_KEYS,
    add_source,
    check_launcher_and_sweeper,
    check_references,
    compose_valid_overrides,
)
from gpt2hydra.launch.jobs import PointSweeper, SweepJob
from gpt2hydra.launch.notes import note_choices_without_effect, print_points, warn_of_points
from gpt2hydra.launch.points import Point, expand_points, uses_basic
from gpt2hydra.launch.preflight import Preflight
from gpt2hydra.launch.resume import RunLocation, format_locations, locate_point
from gpt2hydra.launch.sweep_directories import locate_points
from gpt2hydra.runs.comparison import Comparison
from gpt2hydra.runs.comparison_table import format_runs
from gpt2hydra.runs.directory import check_directory
from gpt2hydra.training.processes import Process
from gpt2hydra.utils.formatting import error_reason


def sweep(composer: Composer, overrides: Sequence[str], task: Callable[[Checked, DictConfig], Any], extra: str | None) -> None:
    """Check every point, the launcher and the sweeper; then let Hydra run the points."""
    composed = _compose(composer, [*overrides, "hydra.mode=MULTIRUN"])
    check_references(composed, *SWEEP_KEYS, *JOB_KEYS)
    check_launcher_and_sweeper(composed)
    composer = composer.for_sweep(composed)
    preflight = _run_preflight(composer, composed, overrides, extra)
    if preflight.points:
        first = composer.fold(preflight.points[0])
        note_choices_without_effect(first.overrides, first.provenance)
    preflight.report_violations()
    if preflight.dry_numbers:
        print_points(preflight)
        preflight.leave_out(preflight.dry_numbers)
    if not preflight.points_to_start:
        return
    runs_here = uses_basic(composed, "launcher")
    if extra and runs_here:
        warn_of_points(preflight)
    points = _points_to_launch(preflight, runs_here) if preflight.locations else preflight.points_to_start
    _run_sweeper(
        composer, composed, points, SweepJob(task, composer.config_class, checked=preflight.checks, numbers=not runs_here)
    )


def _run_preflight(composer: Composer, composed: DictConfig, overrides: Sequence[str], extra: str | None) -> Preflight:
    """Check each point, the settings that all share, the launcher and the sweeper, before the first job."""
    mode, basic = str(composed.get("preflight", "strict")), uses_basic(composed)
    can_skip_invalid = basic and "preflight" in composed
    preflight = Preflight(skip_invalid=mode == "skip_invalid" and basic, can_skip_invalid=can_skip_invalid)
    preflight.checks = mode != "off" or composed.get("dry_run") is True
    with collect_violations(preflight.sweep_violations):
        preflight.points, preflight.notes = expand_points(composed, composer)
    if preflight.sweep_violations:  # there are no points: check the settings that all would share
        with collect_violations(preflight.sweep_violations):
            compose_and_check(composer, [text for text in overrides if not _is_sweep(text)])
    installed_extra = None if extra and absent_modules(extra) else extra  # a missing extra is reported once, for the sweep
    point_context = Context(process=Process(), extra=installed_extra, runs_here=uses_basic(composed, "launcher"), sweep=True)
    if preflight.checks:
        preflight.compose(composer)
        preflight.check_points(composer, lambda number, config: run_checks(replace(point_context, config=config)))
    if preflight.points_to_start or not preflight.dry_numbers:
        directories: dict[int, Path] = {}
        locate = lambda: directories.update(locate_points(composer, composed, preflight.points_to_start))  # noqa: E731
        preflight.sweep_violations += run_checks(Context(composed=composed, extra=extra, sweep=True, locate=locate))
        if basic and preflight.checks:
            preflight.locations = _locate_and_check(composer, preflight, directories)
    preflight.sweep_violations = [add_source(each, overrides, lambda: composer) for each in preflight.sweep_violations]
    return preflight


def _locate_and_check(composer: Composer, preflight: Preflight, directories: Mapping[int, Path]) -> dict[int, RunLocation]:
    """Return the location of each point. A point that cannot continue there becomes invalid."""
    locations: dict[int, RunLocation] = {}

    def check_point(number: int, config: Checked) -> Sequence[Violation]:
        violations: list[Violation] = []
        with collect_violations(violations):
            if number in directories:
                locations[number] = locate_point(config, directories[number])
        return violations

    preflight.check_points(composer, check_point)
    return locations


def _points_to_launch(preflight: Preflight, runs_here: bool) -> dict[int, Point]:
    """Return the points to launch, without finished ones if ``runs_here``. Begun ones keep ``.hydra``."""
    locations = preflight.locations
    began = {number for number, location in locations.items() if location.state != "beginning"}
    finished = {number for number in began if locations[number].state == "finished"}
    if began:
        sys.stderr.write(f"{format_locations(locations)}.\n")
    if runs_here:
        preflight.leave_out(sorted(finished))
    # Other launchers number their jobs from the first one, so they also start points that have finished; these write nothing.
    keep_hydra_files, write_nothing = ["hydra.output_subdir=null"], ["++hydra.job_logging.root=null"]
    return {
        number: preflight.points[number] + keep_hydra_files * (number in began) + write_nothing * (number in finished)
        for number in preflight.valid
    }


def _run_sweeper(composer: Composer, composed: DictConfig, points: Mapping[int, Point], job: SweepJob) -> None:
    with instantiating("hydra", "names a launcher, sweeper or callback that cannot be created"):
        callbacks = make_callbacks(composed)
        context = HydraContext(config_loader=composer.loader, callbacks=callbacks)
        sweeper = _make_sweeper(composed, context, job, points)
    callbacks.on_multirun_start(config=composed, config_name=composer.config_name)
    with _report_sweep_error(sweeper, job):
        returns = sweeper.sweep(arguments=task_overrides(composed.hydra))
    callbacks.on_multirun_end(config=composed, config_name=composer.config_name)
    _print_table(composed)
    _report_failures(dict(zip(sorted(points), returns, strict=True)) if isinstance(sweeper, PointSweeper) else {})


@contextmanager
def _report_sweep_error(sweeper: Sweeper, job: SweepJob) -> Iterator[None]:
    """Context manager: print an error of the sweeper or launcher on one line, but not one of a job."""
    try:
        yield
    except (ConfigError, BrokenPipeError):
        raise
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        if error not in job.failures:
            cause = error.__cause__ if isinstance(error, HydraException) else None
            cause = None if type(cause).__name__ == "_RemoteTraceback" else cause  # of joblib, from another process
            sys.stderr.write(f"{type(sweeper).__name__} stopped the sweep: {error_reason(cause or error)}\n")
        sys.exit(1)


def _print_table(composed: DictConfig) -> None:
    """Print the runs of a sweep, the best first; nothing if its jobs wrote no ``run.json``."""
    comparison = Comparison.read_below(Path(composed.hydra.sweep.dir))
    if comparison.runs:
        print()
        print(format_runs(comparison))


def _compose(composer: Composer, overrides: list[str]) -> DictConfig:
    sweep_overrides = [text for text in overrides if _is_sweep(text)]
    fixed = [text for text in overrides if text not in sweep_overrides]

    def find_more_violations(valid_part: Composition) -> Iterator[Violation]:
        """Yield the violations of each swept value by itself, and of launcher, sweeper and directory."""
        rest = valid_part.overrides.texts
        yield from _check_swept_values(composer, rest, sweep_overrides)
        composed = compose_valid_overrides(composer, rest, RunMode.MULTIRUN)
        if composed is None:
            return
        config, replaced_keys = build_from_valid_values(valid_part)
        context = Context(
            config, replaced_keys, composed, Process(), sweep=True, locate=partial(_check_sweep_directory, composed)
        )
        yield from run_checks(context)

    try:
        return composer.compose_by_hydra(overrides, RunMode.MULTIRUN)
    except Exception as error:  # of Hydra, OmegaConf or PyYAML
        raise refusal_after(composer, fixed, error, find_more_violations) from error


def _check_sweep_directory(composed: DictConfig) -> None:
    try:
        directory = Path(composed.hydra.sweep.dir)
    except Exception:  # a reference that cannot be resolved: reported later
        return
    check_directory(directory, "hydra.sweep.dir")


def _is_sweep(text: str) -> bool:
    try:
        return parse(text).is_sweep_override()
    except Exception:  # reported as an override that cannot be read
        return False


def _check_swept_values(composer: Composer, rest: Sequence[str], sweep_overrides: Sequence[str]) -> Iterator[Violation]:
    from gpt2hydra.composition.suggest import MAX_SWEEP_POINTS  # imports what only a refusal needs

    for text in sweep_overrides:
        override = parse(text)
        with suppress(Exception):  # values that only another sweeper can read
            values = itertools.islice(override.sweep_string_iterator(), MAX_SWEEP_POINTS)
            words = [f"{override.get_key_element()}={value}" for value in values]
            preflight = Preflight([[*rest, word] for word in words])
            preflight.compose(composer)
            for number, violations in preflight.invalid.items():
                typed = (each for each in violations if each.source == command_line(words[number]))
                yield from (replace(each, source=command_line(text), remedy={}) for each in typed)  # it is for one value


def _make_sweeper(composed: DictConfig, context: HydraContext, job: SweepJob, points: Mapping[int, Point]) -> Sweeper:
    if not uses_basic(composed):
        return Plugins.instance().instantiate_sweeper(config=composed, hydra_context=context, task_function=job)
    sweeper = PointSweeper(points, composed.hydra.sweeper.max_batch_size)
    sweeper.setup(config=composed, hydra_context=context, task_function=job)
    return sweeper


def _report_failures(returns: Mapping[int, JobReturn]) -> None:
    failed = [f"#{number}" for number, each in returns.items() if each.status is JobStatus.FAILED]
    if failed:
        sys.stderr.write(f"{len(failed)} of {len(returns)} jobs failed: {', '.join(failed)}\n")
        sys.exit(1)
