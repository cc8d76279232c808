"""The jobs of a sweep: how they are launched, and what each of them does."""

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
from gpt2hydra.launch.preflight import summary
from gpt2hydra.launch.resume import locate_point
from gpt2hydra.runs.directory import unwritable
from gpt2hydra.utils.formatting import reason_of


class PointSweeper(Sweeper):
    """Launches points that are known, so that each is composed once more, and not twice as by Hydra's sweeper.

    A point keeps its number, which is that of its directory, where others are left out.
    """

    def __init__(self, points: Mapping[int, Point], max_batch_size: int | None) -> None:
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
        try:
            directory.mkdir(parents=True, exist_ok=True)
            OmegaConf.save(self.config, directory / "multirun.yaml")
        except OSError as error:
            raise ConfigError([unwritable(directory, reason_of(error), "hydra.sweep.dir")]) from error
        returns: list[JobReturn] = []
        for numbers in self._batches():
            returns += self.launcher.launch([self.points[number] for number in numbers], initial_job_idx=numbers[0])
        return returns

    def _batches(self) -> Iterator[Sequence[int]]:
        """Numbers that follow each other, for a launcher counts on from the first; no more than a batch."""
        numbers = sorted(self.points)
        for _, group in itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
            following = [number for _, number in group]
            yield from (following[first : first + self.batch] for first in range(0, len(following), self.batch))


class SweepJob:
    """What a launcher runs, here or elsewhere: the validation, then the function. It prints its failure at once."""

    def __init__(
        self, task: Callable[[Checked, DictConfig], Any], config_class: type[Checked] | None, *, checked: bool, numbers: bool
    ) -> None:
        """Args:
        checked: the preflight has passed each point.
        numbers: each line that a job prints begins with its number, since other jobs may print between.
        """
        self.task, self.config_class, self.checked, self.numbers = task, config_class, checked, numbers
        self.failures: list[Exception] = []
        """Of jobs in this process; each has been printed."""

    def __call__(self, composed: DictConfig) -> Any:
        """Run one point, in the process and the directory that the launcher chose."""
        with number_lines(int(HydraConfig.get().job.num)) if self.numbers else nullcontext():
            return self._run(composed)

    def _run(self, composed: DictConfig) -> Any:
        config_class = self.config_class or config_class_of(composed)
        register_resolvers(config_class)  # in another process there are none
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
            with running_job(location.of(config)) as config:
                return self.task(config, composed)
        except Exception as error:
            self.failures.append(error)
            if isinstance(error, ConfigError):
                reason = "; ".join(summary(violation) for violation in error.violations)
            else:
                reason = f"{type(error).__name__}: {error}"
            sys.stderr.write(f"job #{job.num} failed ({' '.join(overrides)}): {reason}\n")
            if not isinstance(error, ConfigError):
                traceback.print_exc()  # a mistake of the program, not of the user's
            sys.stderr.flush()
            raise


# ------------------------------------------------------------------------------- jobs that print at once


class Numbered(io.TextIOBase):
    """A stream that writes complete lines, each with a number in front, into another stream."""

    def __init__(self, stream: TextIO, number: int) -> None:
        self.stream, self.prefix, self.begun = stream, f"#{number}  ", ""

    def write(self, text: str) -> int:
        """Write the lines that ``text`` ends; what it begins waits."""
        *lines, self.begun = (self.begun + text).split("\n")
        if lines:
            self.stream.write("".join(f"{self.prefix}{line}".rstrip() + "\n" for line in lines))
            self.stream.flush()
        return len(text)

    def end(self) -> None:
        """Write what was begun."""
        if self.begun:
            self.write("\n")


@contextmanager
def number_lines(number: int) -> Iterator[None]:
    """Within, both outputs are numbered. No terminal is seen behind them, so that nobody draws a bar."""
    out, err = Numbered(sys.stdout, number), Numbered(sys.stderr, number)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            yield
        finally:
            out.end()
            err.end()
