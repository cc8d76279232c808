"""Sweeps: every point is composed and validated before the first job starts.

Hydra's sweepers and launchers do the running. What a sweep costs beyond its jobs is one quick composition of each point; for
Hydra's basic sweeper, that replaces the check by full composition that it would make itself.
"""

from __future__ import annotations

import itertools
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.core_plugins.basic_launcher import BasicLauncherConf
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf

from gpt2hydra.checking import Checked
from gpt2hydra.composition import Composer, parse
from gpt2hydra.machine import check_directory, device_problems, machine_problems, require
from gpt2hydra.rules import COMMAND_LINE, ConfigError, Violation

MOST_POINTS = 100_000
"""An adaptive sweeper's space larger than this is checked value by value instead of point by point."""

Point = list[str]


@dataclass
class Preflight:
    """What the check of a sweep found. ``valid`` and ``invalid`` are keyed by the point's number."""

    points: list[Point]
    valid: dict[int, Checked] = field(default_factory=dict)
    invalid: dict[int, tuple[Violation, ...]] = field(default_factory=dict)

    def table(self) -> str:
        """The invalid points: number, overrides, what is wrong and what to type instead."""
        rows = [(f"#{number}", " ".join(self.points[number]), each) for number, each in sorted(self.invalid.items())]
        width = min(max(len(overrides) for _, overrides, _ in rows), 60)
        lines = [f"  {'point':<6} {'overrides':<{width}}  problem"]
        for number, overrides, violations in rows:
            for index, violation in enumerate(violations):
                head = f"{number:<6} {overrides:<{width}}" if index == 0 else " " * (width + 7)
                lines.append(f"  {head}  {summary(violation)}")
        return "\n".join(lines)


def summary(violation: Violation) -> str:
    """A violation on one line; who set it is said unless the overrides, which stand beside it, tell."""
    head, *rest = str(violation).splitlines()
    origin = "" if COMMAND_LINE in violation.origin or not violation.origin else f" ({violation.origin})"
    remedy = f"; try: {violation.suggestion}" if violation.suggestion else ""
    return f"{head} {violation.rule}{origin}{remedy}" if rest else head


def preflight(composer: Composer, points: list[Point]) -> Preflight:
    """Compose and validate each point."""
    found = Preflight(points)
    for number, point in enumerate(points):
        try:
            found.valid[number] = composer.instantiate(point)
        except ConfigError as error:
            found.invalid[number] = _with_origins(composer, point, error.violations)
        except Exception as error:
            from gpt2hydra.diagnosis import explain_refusal

            found.invalid[number] = explain_refusal(composer, point, error).violations
    return found


def look(found: Preflight, composer: Composer, problems_of: Callable[[Checked], Sequence[Violation]]) -> None:
    """Look at what else each valid point needs; one that has problems is valid no more."""
    for number, config in list(found.valid.items()):
        problems = problems_of(config)
        if problems:
            del found.valid[number]
            found.invalid[number] = _with_origins(composer, found.points[number], problems)


def _with_origins(composer: Composer, point: Point, violations: Sequence[Violation]) -> tuple[Violation, ...]:
    from gpt2hydra.origins import with_origins

    return tuple(with_origins(composer, point, violations))


# ------------------------------------------------------------------------------------------------------- the points


def expand(composed: DictConfig, composer: Composer) -> tuple[list[Point], list[str]]:
    """Every point that the sweep can visit, as override lists, and what cannot be known beforehand."""
    parameters = composed.hydra.sweeper.get("params") or {}
    texts = [f"{key}={value}" for key, value in parameters.items()] + list(composed.hydra.overrides.task)
    overrides = OverridesParser.create(config_loader=composer.loader).parse_overrides(texts)
    if _is_basic(composed):
        return BasicSweeper.split_arguments(overrides, None)[0], []
    return _expand_adaptive(overrides)


def _is_basic(composed: DictConfig) -> bool:
    return bool(composed.hydra.sweeper.get("_target_") == BasicSweeperConf._target_)


def _expand_adaptive(overrides: list[Override]) -> tuple[list[Point], list[str]]:
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
    count = 1
    for axis in axes.values():
        count *= len(axis)
    if count <= MOST_POINTS:
        return [list(point) for point in itertools.product(*axes.values())], notes
    notes.append(f"{count:,} combinations are too many to check: each value was checked with the first of the others")
    first = [axis[0] for axis in axes.values()]
    points = [[*first[:i], value, *first[i + 1 :]] for i, axis in enumerate(axes.values()) for value in axis]
    return points, notes


# ------------------------------------------------------------------------------------------------------- the sweep


class PointSweeper(Sweeper):
    """Launches points that are known already, so that each is composed once more, not twice as by Hydra's basic sweeper."""

    def __init__(self, points: list[Point], max_batch_size: int | None) -> None:
        self.points, self.batch = points, max_batch_size or max(len(points), 1)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher that ``hydra/launcher`` names."""
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Launch the points, batch by batch. A failed job does not stop the others."""
        assert self.config is not None and self.launcher is not None
        directory = Path(self.config.hydra.sweep.dir)
        directory.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, directory / "multirun.yaml")
        returns: list[JobReturn] = []
        for first in range(0, len(self.points), self.batch):
            returns += self.launcher.launch(self.points[first : first + self.batch], initial_job_idx=first)
        return returns


class SweepJob:
    """What a launcher runs, in this process or another: the gate, then the function. A failure is told when it happens."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, composed: DictConfig) -> Any:
        """Run one point, in the process and the directory that the launcher chose."""
        from gpt2hydra import record
        from gpt2hydra.schema import instantiate, register_resolvers

        register_resolvers()
        job = HydraConfig.get().job
        try:
            with record.job(instantiate(composed)) as config:
                return self.function(config)
        except Exception as error:
            overrides = " ".join(HydraConfig.get().overrides.task)
            if isinstance(error, ConfigError):
                reason = "; ".join(summary(violation) for violation in error.violations)
            else:
                reason = f"{type(error).__name__}: {error}"
            sys.stderr.write(f"job #{job.num} failed ({overrides}): {reason}\n")
            if not isinstance(error, ConfigError):
                traceback.print_exc()  # a mistake of the program, not of the user's
            sys.stderr.flush()
            raise


def sweep(
    hydra: Hydra, composer: Composer, overrides: Sequence[str], function: Callable[[Any], Any], extra: str | None
) -> None:
    """Check every point, then let Hydra's sweeper and launcher run them."""
    composed = _compose(composer, [*overrides, "hydra.mode=MULTIRUN"])
    mode, dry = str(composed.get("preflight", "strict")), composed.get("dry_run") is True
    points, notes = expand(composed, composer)
    skip = mode == "skip_invalid" and _is_basic(composed)
    found = Preflight(points)
    if mode != "off" or dry:
        found = preflight(composer, points)
        look(found, composer, machine_problems)
        _report(found, notes, skip)
        if dry:
            _print_points(found)
            return
    require(extra)
    if found.valid:
        if extra and composed.hydra.launcher.get("_target_") == BasicLauncherConf._target_:  # others may use other machines
            found.invalid.clear()
            look(found, composer, device_problems)
            _report(found, [], skip)
            _warn_of_memory(found)
        points = [points[number] for number in found.valid]
    check_directory(Path(composed.hydra.sweep.dir).absolute())
    callbacks = Callbacks(composed)
    callbacks.on_multirun_start(config=composed, config_name=composer.config_name)
    context = HydraContext(config_loader=composer.loader, callbacks=callbacks)
    sweeper = _sweeper(composed, context, SweepJob(function), points)
    returns = sweeper.sweep(arguments=list(composed.hydra.overrides.task))
    callbacks.on_multirun_end(config=composed, config_name=composer.config_name)
    _report_failures(returns if isinstance(sweeper, PointSweeper) else [])


def _compose(composer: Composer, overrides: list[str]) -> DictConfig:
    try:
        return composer.full(overrides, RunMode.MULTIRUN)
    except Exception as error:
        from gpt2hydra.diagnosis import explain_refusal

        fixed = [text for text in overrides if not _sweeps(text)]
        raise explain_refusal(composer, fixed, error) from error


def _sweeps(text: str) -> bool:
    try:
        return parse(text).is_sweep_override()
    except Exception:
        return False


def _sweeper(composed: DictConfig, context: HydraContext, job: SweepJob, points: list[Point]) -> Sweeper:
    if not _is_basic(composed):
        return Plugins.instance().instantiate_sweeper(config=composed, hydra_context=context, task_function=job)
    sweeper = PointSweeper(points, composed.hydra.sweeper.max_batch_size)
    sweeper.setup(config=composed, hydra_context=context, task_function=job)
    return sweeper


def _report(found: Preflight, notes: list[str], skip: bool) -> None:
    """Print what was found; exit with 1 where something is invalid, unless it is to be skipped."""
    for note in notes:
        sys.stderr.write(f"preflight: {note}\n")
    if not found.invalid:
        return
    total, bad = len(found.points), len(found.invalid)
    outcome = f"the other {total - bad} run" if skip and found.valid else "nothing was started"
    sys.stderr.write(f"{bad} of {total} points {'is' if bad == 1 else 'are'} invalid; {outcome}.\n\n{found.table()}\n\n")
    if not (skip and found.valid):
        if found.valid and not skip:
            sys.stderr.write(f"Correct them, or run the other {len(found.valid)} with preflight=skip_invalid.\n")
        sys.exit(1)


def _warn_of_memory(found: Preflight) -> None:
    """Say on standard error which points are not expected to fit on this machine."""
    from gpt2hydra.run_config import TrainConfig

    configs = {number: config for number, config in found.valid.items() if isinstance(config, TrainConfig)}
    if not configs:
        return
    from gpt2hydra.plan import Plan

    large = [f"#{number}" for number, config in configs.items() if Plan.of(config).fits is False]
    if large:
        shown = ", ".join(large[:10]) + ", ..." * (len(large) > 10)
        exceed = f"{len(large)} of {len(found.points)} points exceed{'s' * (len(large) == 1)} the memory"
        sys.stderr.write(f"warning: by prediction {exceed}: {shown}; dry_run=true shows by how much.\n\n")


def _print_points(found: Preflight) -> None:
    """The table of what would run."""
    from gpt2hydra.run_config import TrainConfig

    rows: list[tuple[str, Any]] = [(" ".join(found.points[number]), config) for number, config in found.valid.items()]
    if all(isinstance(config, TrainConfig) for _, config in rows):
        from gpt2hydra.plan import compare

        print(compare(rows))
    else:
        print("\n".join(f"#{number}  {label}" for number, (label, _) in enumerate(rows)))


def _report_failures(returns: Sequence[JobReturn]) -> None:
    failed = [(number, each) for number, each in enumerate(returns) if each.status is JobStatus.FAILED]
    if failed:
        sys.stderr.write(f"{len(failed)} of {len(returns)} jobs failed: {', '.join(f'#{number}' for number, _ in failed)}\n")
        sys.exit(1)
