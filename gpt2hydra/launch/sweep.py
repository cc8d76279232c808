"""Sweeps, once :mod:`gpt2hydra.launch.preflight` has checked them. Hydra's sweepers and launchers do the running.

What a sweep costs beyond its jobs is one quick composition of each point; for Hydra's basic sweeper, that replaces the check by
full composition that it would make itself.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from gpt2hydra.composition.compose import compose_and_check, refused_whole
from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_compat import make_callbacks
from gpt2hydra.composition.hydra_errors import making, resolving
from gpt2hydra.composition.hydra_state import parse, task_overrides
from gpt2hydra.config.errors import ConfigError, Violation, collect_violations, command_line
from gpt2hydra.config.validation import Checked
from gpt2hydra.launch.checks import device_problems, is_dry, machine_problems, note_overruled
from gpt2hydra.launch.extras import absent_modules, require
from gpt2hydra.launch.hydra_components import check_chosen, files_of_job, hydras_part, problems_of_sweep, typed_by
from gpt2hydra.launch.jobs import PointSweeper, SweepJob
from gpt2hydra.launch.points import Point, expand, is_basic
from gpt2hydra.launch.preflight import Preflight, print_points, report, warn_of_memory
from gpt2hydra.launch.resume import Place, point, summary_of, sweep_problems
from gpt2hydra.runs.comparison import Comparison
from gpt2hydra.runs.comparison_table import format_runs
from gpt2hydra.runs.directory import check_directory, unwritable, why_unwritable
from gpt2hydra.utils.formatting import reason_of
from gpt2hydra.utils.quoting import RawOverride


def sweep(composer: Composer, overrides: Sequence[str], function: Callable[[Any], Any], extra: str | None) -> None:
    """Check every point, and what starts them; then let Hydra's sweeper and launcher run them."""
    composed = _compose(composer, [*overrides, "hydra.mode=MULTIRUN"])
    check_chosen(composed)
    composer.sweep = composed
    found = _look(composer, composed, overrides, extra)
    note_overruled(composer, found.points[0] if found.points else [])
    report(found)
    if found.dry:
        print_points(found, found.dry)
        found.leave_out(found.dry)
    if not found.starting:
        return
    require(extra, found.valid.values())
    here = is_basic(composed, "launcher")
    if extra and here:
        warn_of_memory(found)
    points = _continued(found, here) if found.places else found.starting
    _run(composer, composed, points, SweepJob(function, composer.config_class, checked=found.checks, numbers=not here))


def _look(composer: Composer, composed: DictConfig, overrides: Sequence[str], extra: str | None) -> Preflight:
    """All that can be told before the first job: of each point, of what all share, and of what starts them."""
    mode, basic = str(composed.get("preflight", "strict")), is_basic(composed)
    found = Preflight(skip=mode == "skip_invalid" and basic, can_skip=basic)
    found.checks = mode != "off" or composed.get("dry_run") is True
    with collect_violations(found.own):
        found.points, found.notes = expand(composed, composer)
    if found.own:  # there are no points; what all would share is looked at without them
        with collect_violations(found.own):
            compose_and_check(composer, [text for text in overrides if not _sweeps(text)])
    if found.checks:
        found.compose(composer)
        found.look(composer, lambda config: [*sweep_problems(config), *machine_problems(config)])
        if extra and is_basic(composed, "launcher") and not absent_modules(extra):  # others may use other machines
            found.look(composer, lambda config: () if is_dry(config) else device_problems(config))
    if found.starting or not found.dry:
        found.own += problems_of_sweep(composed)
        with collect_violations(found.own):
            directories = check_directories(composer, composed, found.starting)
            if basic and found.checks:
                found.places = _places(composer, found, directories)
    found.own = [typed_by(each, overrides) for each in found.own]
    return found


def _places(composer: Composer, found: Preflight, directories: Mapping[int, Path]) -> dict[int, Place]:
    """Where each point writes; one that cannot go on there is valid no more."""
    places: dict[int, Place] = {}

    def problems_of(number: int, config: Checked) -> Sequence[Violation]:
        problems: list[Violation] = []
        with collect_violations(problems):
            if number in directories:
                places[number] = point(config, directories[number])
        return problems

    found.look_at_each(composer, problems_of)
    return places


def _continued(found: Preflight, here: bool) -> dict[int, Point]:
    """The points that are still to run, ``here`` or elsewhere. What ``.hydra`` says of a point that began earlier stays."""
    places = found.places
    began = {number for number, place in places.items() if place.step is not None or place.loss is not None}
    finished = {number for number in began if places[number].loss is not None}
    if began:
        sys.stderr.write(f"{summary_of(places)}.\n")
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
    with _told_how_it_ended(sweeper, job):
        returns = sweeper.sweep(arguments=task_overrides(composed.hydra))
    callbacks.on_multirun_end(config=composed, config_name=composer.config_name)
    _print_table(composed)
    _report_failures(dict(zip(sorted(points), returns, strict=True)) if isinstance(sweeper, PointSweeper) else {})


@contextmanager
def _told_how_it_ended(sweeper: Sweeper, job: SweepJob) -> Iterator[None]:
    """Within, an error of a sweeper or launcher is told in a line, unless it is a job's, which has been told."""
    try:
        yield
    except (ConfigError, BrokenPipeError):
        raise
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        if error not in job.failures:
            cause = error.__cause__ if isinstance(error, HydraException) else None  # what joblib adds is a traceback
            sys.stderr.write(f"The sweep was ended by {type(sweeper).__name__}: {reason_of(cause or error)}\n")
        sys.exit(1)


def _print_table(composed: DictConfig) -> None:
    """The runs of a sweep, the best first, on standard output; nothing where its jobs left no record."""
    comparison = Comparison.below(Path(composed.hydra.sweep.dir))
    if comparison.runs:
        print()
        print(format_runs(comparison))


def check_directories(composer: Composer, composed: DictConfig, points: Mapping[int, Point]) -> dict[int, Path]:
    """The directory of each point.

    Raises:
        ConfigError: one cannot be written, holds a run that is not to continue, or would be shared.
    """
    written: Any = OmegaConf.to_container(composed.hydra.sweep, resolve=False)
    with resolving("hydra.sweep.dir", written["dir"]):
        parent = Path(composed.hydra.sweep.dir).absolute()
    reason = why_unwritable(parent)
    if reason:
        raise ConfigError([unwritable(parent, reason, "hydra.sweep.dir")])
    _check_adaptive(composed, written)
    numbered = written["subdir"] in _NUMBERED and _same_for_each_point(written["dir"])
    if numbered and not parent.exists():
        return {number: parent / str(number) for number in points}
    continues, files = composed.get("resume") is not None, files_of_job(composed)
    users: dict[Path, int] = {}
    for number, overrides in points.items():
        with resolving("hydra.sweep.subdir", written["subdir"]):
            directory = parent / str(number) if numbered else Path(composer.job_directory(overrides, number))
        if not numbered:
            _check_subdir(directory, written["subdir"])
        if not continues:
            check_directory(directory, "hydra.sweep.dir", written=written["dir"], files=files)
        directory = Path(os.path.realpath(directory))
        if directory in users:
            rule = f"gives points #{users[directory]} and #{number} one directory, {directory}"
            remedy = {"hydra.sweep.subdir": RawOverride(_NUMBERED[0])}
            raise ConfigError([Violation("hydra.sweep.subdir", written["subdir"], rule, remedy=remedy)])
        users[directory] = number
    return {number: directory for directory, number in users.items()}


def _check_subdir(directory: Path, written: str) -> None:
    """Refuse a ``hydra.sweep.subdir`` of which no folder can be made: a name that is too long."""
    reason = why_unwritable(directory)
    if reason and written not in _NUMBERED and not why_unwritable(directory.parent):
        rule, remedy = f"is no name for a folder ({reason})", {"hydra.sweep.subdir": RawOverride(_NUMBERED[0])}
        raise ConfigError([Violation("hydra.sweep.subdir", written, rule, remedy=remedy)])


def _check_adaptive(composed: DictConfig, written: Mapping[str, str]) -> None:
    """Refuse directories that the trials of an adaptive sweeper would share: it may try a point twice."""
    if is_basic(composed) or composed.hydra.sweeper.get("n_trials") == 1:
        return
    if not any(number in written[each] for each in ("dir", "subdir") for number in _NUMBERED):
        rule = "may give two trials one directory, for a point can be tried twice"
        remedy = {"hydra.sweep.subdir": RawOverride(f"{written['subdir']}/{_NUMBERED[0]}")}
        raise ConfigError([Violation("hydra.sweep.subdir", written["subdir"], rule, remedy=remedy)])


def _same_for_each_point(written: str) -> bool:
    """Whether a ``hydra.sweep.dir`` refers to nothing that a point could set."""
    return re.sub(r"\$\{(now:|oc\.env:|hydra[.:](job\.(name|config_name)\}|runtime\.))", "", written).count("${") == 0


_NUMBERED = ("${hydra.job.num}", "${hydra:job.num}")
"""Hydra's own choice, and another word for it."""


def _compose(composer: Composer, overrides: list[str]) -> DictConfig:
    sweeping = [text for text in overrides if _sweeps(text)]
    fixed = [text for text in overrides if text not in sweeping]

    def later(rest: Sequence[str], config: Checked | None) -> Iterator[Violation]:
        """What is wrong with the values to sweep over, each tried by itself, and with what starts the sweep."""
        yield from _swept_problems(composer, rest, sweeping)
        problems: list[Violation] = []
        composed = hydras_part(composer, rest, RunMode.MULTIRUN)
        if composed is not None:
            problems += problems_of_sweep(composed)
            with suppress(Exception), collect_violations(problems):  # what cannot be resolved is told later
                check_directory(Path(composed.hydra.sweep.dir), "hydra.sweep.dir")
        yield from problems

    with refused_whole(composer, fixed, later):
        return composer.full(overrides, RunMode.MULTIRUN)


def _sweeps(text: str) -> bool:
    try:
        return parse(text).is_sweep_override()
    except Exception:  # it is reported as an override that cannot be read
        return False


def _swept_problems(composer: Composer, rest: Sequence[str], sweeping: Sequence[str]) -> Iterator[Violation]:
    from gpt2hydra.composition.refusal.remedies import MOST_POINTS  # with all that only a refusal needs

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
