"""The jobs of a sweep: the sweeper that launches them, and the function that each one runs."""

from __future__ import annotations

import io
import itertools
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from gpt2hydra.composition.hydra_state import task_overrides
from gpt2hydra.composition.instantiate import instantiate
from gpt2hydra.composition.job import composer_of_job
from gpt2hydra.composition.job import job as running_job
from gpt2hydra.composition.schema import register_resolvers
from gpt2hydra.composition.validate import config_class_of
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.validation import Checked
from gpt2hydra.launch.checks import is_dry
from gpt2hydra.launch.points import Point
from gpt2hydra.launch.preflight import format_violation_line
from gpt2hydra.launch.resume import locate_point
from gpt2hydra.runs.directory import unwritable_violation
from gpt2hydra.utils.formatting import error_reason


class PointSweeper(Sweeper):
    """Launches known points. Hydra composes each of them once; with its own basic sweeper, twice.

    If points are left out, the others keep their numbers and so their directories.
    """

    def __init__(self, points: Mapping[int, Point], max_batch_size: int | None) -> None:
        self.points, self.batch_size = points, max_batch_size or max(len(points), 1)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Create the launcher that ``hydra/launcher`` names."""
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Launch the points in batches. A failed job does not stop the others."""
        assert self.config is not None and self.launcher is not None
        directory = Path(self.config.hydra.sweep.dir)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            OmegaConf.save(self.config, directory / "multirun.yaml")
        except OSError as error:
            raise ConfigError([unwritable_violation(directory, error_reason(error), "hydra.sweep.dir")]) from error
        returns: list[JobReturn] = []
        for numbers in self._batches():
            returns += self.launcher.launch([self.points[number] for number in numbers], initial_job_idx=numbers[0])
        return returns

    def _batches(self) -> Iterator[Sequence[int]]:
        """Yield batches of consecutive numbers, because a launcher numbers its jobs from the first one."""
        numbers = sorted(self.points)
        for _, group in itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
            consecutive = [number for _, number in group]
            yield from (consecutive[first : first + self.batch_size] for first in range(0, len(consecutive), self.batch_size))


class SweepJob:
    """Called by a launcher, perhaps in another process: validates a point, runs it, prints errors."""

    def __init__(
        self, task: Callable[[Checked, DictConfig], Any], config_class: type[Checked] | None, *, checked: bool, numbers: bool
    ) -> None:
        """Prepare the jobs of a sweep.

        Args:
            checked: the preflight has validated each point.
            numbers: put the job's number before each line, because several jobs may print at the same time.
        """
        self.task, self.config_class, self.checked, self.numbers = task, config_class, checked, numbers
        self.failures: list[Exception] = []
        """Errors of jobs in this process, already printed."""

    def __call__(self, composed: DictConfig) -> Any:
        """Run one point in the current process, in the directory that the launcher chose."""
        with number_lines(int(HydraConfig.get().job.num)) if self.numbers else nullcontext():
            return self._run(composed)

    def _run(self, composed: DictConfig) -> Any:
        config_class = self.config_class or config_class_of(composed)
        register_resolvers(config_class)  # another process has none
        job, overrides = HydraConfig.get().job, task_overrides(HydraConfig.get())
        try:
            config: Checked
            if self.checked:
                config = instantiate(composed, config_class)
            else:
                composer = composer_of_job()
                found = composer.fold(overrides)
                composer.accept_composed(found, composed)
                config = found.config
            if is_dry(config):
                print(f"job #{job.num} was not started: dry_run=true")
                return None
            location = locate_point(config, Path(HydraConfig.get().runtime.output_dir))
            if location.loss is not None:
                print(location.format(config))
                return location.loss
            with running_job(location.set_resume(config)) as config:
                return self.task(config, composed)
        except Exception as error:
            self.failures.append(error)
            if isinstance(error, ConfigError):
                reason = "; ".join(format_violation_line(violation) for violation in error.violations)
            else:
                reason = f"{type(error).__name__}: {error}"
            sys.stderr.write(f"job #{job.num} failed ({' '.join(overrides)}): {reason}\n")
            if not isinstance(error, ConfigError):
                traceback.print_exc()  # an error of the program, not of the user
            sys.stderr.flush()
            raise


# ------------------------------------------------------------------------------- jobs that print at the same time


class NumberedLines(io.TextIOBase):
    """A stream that puts a number before each line and writes complete lines to another stream."""

    def __init__(self, stream: TextIO, number: int) -> None:
        self.stream, self.prefix, self.incomplete = stream, f"#{number}  ", ""

    def write(self, text: str) -> int:
        """Write all complete lines; keep an incomplete one for later."""
        *lines, self.incomplete = (self.incomplete + text).split("\n")
        if lines:
            self.stream.write("".join(f"{self.prefix}{line}".rstrip() + "\n" for line in lines))
            self.stream.flush()
        return len(text)

    def write_incomplete(self) -> None:
        """Write the incomplete line, if there is one."""
        if self.incomplete:
            self.write("\n")


@contextmanager
def number_lines(number: int) -> Iterator[None]:
    """Context manager: number the lines of both outputs. These are no terminals: no progress bar is drawn."""
    out, err = NumberedLines(sys.stdout, number), NumberedLines(sys.stderr, number)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            yield
        finally:
            out.write_incomplete()
            err.write_incomplete()
