"""One run, from what Hydra composed to the function's end; :mod:`gpt2hydra.launch.sweep` has many.

Its order: validate the configuration, ask :mod:`gpt2hydra.launch.checks`, and only then make a directory and
start.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from gpt2hydra.composition.compose import compose_run, refusal
from gpt2hydra.composition.composer import Composer, Composition
from gpt2hydra.composition.fold import Provenance
from gpt2hydra.composition.hydra_compat import failure_of, make_callbacks, report_as_hydra
from gpt2hydra.composition.hydra_errors import making, resolving
from gpt2hydra.composition.hydra_state import set_output_directory
from gpt2hydra.composition.job import job
from gpt2hydra.composition.overrides import Words
from gpt2hydra.config.errors import ConfigError, Violation, collect_violations
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.validation import Checked
from gpt2hydra.launch.application import Application
from gpt2hydra.launch.checks import Context, check_error, is_dry, readable, run_checks
from gpt2hydra.launch.hydra_components import check_references, compose_valid_overrides, files_of_job, log_rule
from gpt2hydra.launch.notes import format_settings, note_fine_tuning, note_overruled, print_plan, warn_of_memory
from gpt2hydra.launch.resume import RunLocation, locate_run
from gpt2hydra.runs.directory import check_directory, check_space, remove_new, unwritable
from gpt2hydra.training.processes import Process, agree
from gpt2hydra.utils.formatting import reason_of
from gpt2hydra.utils.paths import nearest_existing


@dataclass(frozen=True)
class RunLauncher:
    """Launches a run with these overrides, in this process of perhaps several."""

    composer: Composer
    words: Words
    application: Application
    process: Process
    verbose: bool = False
    """List what is set, before the start."""

    def compose(self) -> Composition:
        """The composition of this run, with Hydra's, which leaves sweeps out, for a file may ask for one."""
        found = compose_run(self.composer, self.words.texts, self._find_further)
        assert found.composed is not None
        check_references(found.composed, "mode")
        return found

    def run(self, found: Composition) -> None:
        """Validate the configuration, ask all checks; only then make a directory and call the function."""
        composed = found.composed
        assert composed is not None
        config = self._validated(found, composed)
        provenance = found.provenance.with_sources(self.words.source)
        locations: list[RunLocation] = []
        violations = run_checks(self._context(config, composed, lambda: locations.append(self._locate(composed, config))))
        if violations:
            raise self._blaming(violations, provenance)
        note_overruled(found.overrides, provenance)
        note_fine_tuning(config)
        if is_dry(config):
            self._print_plan(provenance, composed, config)
            return
        if self.verbose:
            sys.stderr.write(f"{format_settings(provenance.changes(config))}\n\n")
        (location,) = locations
        words = location.format(config)
        if location.loss is not None:
            print(words)
            return
        if words and location.step is None:  # a run that is resumed prints this itself
            sys.stderr.write(f"{words}.\n")
        self._begin(composed, location.of(config), location, provenance)

    # ----------------------------------------------------------------------------------------------------- the checks

    def _context(self, config: Checked | None, composed: DictConfig, locate: Callable[[], object] | None) -> Context:
        return Context(config, composed=composed, process=self.process, extra=self.application.extra, locate=locate)

    def _locate(self, composed: DictConfig, config: Checked) -> RunLocation:
        """Where this run writes, as the first process decides it for all of them."""
        return RunLocation(**agree(self.process, lambda: asdict(self._free_location(composed, config))))

    def _free_location(self, composed: DictConfig, config: Checked) -> RunLocation:
        """Where this run writes. Refused where it cannot.

        Raises:
            ConfigError: the directory cannot be written, holds another run, or has no space.
        """
        location = locate_run(config, composed)
        if location.step is None and location.loss is None:
            check_directory(Path(location.directory), "hydra.run.dir", files=files_of_job(composed))
        if location.loss is None and isinstance(config, TrainConfig):
            check_space(config, Path(location.directory), "hydra.run.dir")
        return location

    def _find_further(self, right: Composition, composed: DictConfig | None = None) -> Sequence[Violation]:
        """What the checks find besides a refusal, by the overrides that are right and the values that can be read."""
        config, unread = readable(right)
        composed = composed or self.composer.hydra_section(right)
        composed = composed or compose_valid_overrides(self.composer, right.overrides.texts, RunMode.RUN)
        if composed is None:
            return ()
        locate = partial(self._new_directory, composed, None if unread else config)
        found = run_checks(replace(self._context(config, composed, locate), unread=unread))
        return self._blaming(found, right.provenance).violations if found else ()

    def _new_directory(self, composed: DictConfig, config: Checked | None) -> None:
        """Check the directory of a run that is refused for something else.

        Raises:
            ConfigError: it cannot be resolved, cannot be written, or holds another run.
        """
        HydraConfig.instance().set_config(composed)  # the directory may refer to ${hydra:job.name}
        directory = _run_directory(composed)
        check_directory(directory, "hydra.run.dir", files=files_of_job(composed))
        if isinstance(config, TrainConfig):
            check_space(config, directory, "hydra.run.dir")

    @staticmethod
    def _blaming(violations: Sequence[Violation], provenance: Provenance) -> ConfigError:
        """The report on violations with who set each."""
        return check_error([*map(provenance.blame, violations)])

    # ------------------------------------------------------------------------------------------------------ the start

    def _print_plan(self, provenance: Provenance, composed: DictConfig, config: Checked) -> None:
        if isinstance(config, TrainConfig) and config.resume is not None:
            sys.stderr.write(f"{self._free_location(composed, config).format(config)}.\n\n")
        print_plan(provenance.changes(config), config)

    def _begin(self, composed: DictConfig, config: Checked, location: RunLocation, provenance: Provenance) -> None:
        """Hydra's job, which makes the directory, and in it the function."""
        location.redirect(composed, silent=not self.process.first)
        warn_of_memory(config)
        directory = Path(location.directory)
        with making("hydra.callbacks", "names a callback that cannot be made"):
            callbacks = make_callbacks(composed)
        existing = nearest_existing(directory)
        callbacks.on_run_start(config=composed, config_name=self.composer.config_name)
        try:
            result = run_job(
                hydra_context=HydraContext(config_loader=self.composer.loader, callbacks=callbacks),
                task_function=lambda job_config: self._run(config, job_config, provenance),
                config=composed,
                job_dir_key="hydra.run.dir",
                job_subdir_key=None,
            )
        except OSError as error:
            remove_new(directory, existing)
            raise ConfigError([unwritable(directory, reason_of(error), "hydra.run.dir")]) from error
        except Exception as error:  # not the function's: those are in the result
            remove_new(directory, existing)
            raise ConfigError([Violation("hydra.job_logging", rule=log_rule(error))]) from error
        callbacks.on_run_end(config=composed, config_name=self.composer.config_name, job_return=result)
        failure = failure_of(result)
        if isinstance(failure, (ConfigError, BrokenPipeError)) or (
            isinstance(failure, BaseException) and not self.process.first
        ):
            raise failure
        report_as_hydra(lambda: result.return_value)

    def _run(self, config: Checked, composed: DictConfig, provenance: Provenance) -> Any:
        with job(config, provenance):
            return self.application.task(config, composed)

    def _validated(self, found: Composition, composed: DictConfig) -> Checked:
        """The valid config, or a ConfigError. ``${hydra:...}`` resolves, the output directory included."""
        if composed.hydra.mode is None:
            composed.hydra.mode = RunMode.RUN
        HydraConfig.instance().set_config(composed)
        violations: list[Violation] = []
        with collect_violations(violations):
            set_output_directory(composed, str(_run_directory(composed)))
        self.composer.accept_composed(found, composed)
        found.violations += violations
        if found.violations:
            raise refusal(self.composer, found, partial(self._find_further, composed=composed))
        return found.config


def _run_directory(composed: DictConfig) -> Path:
    """The directory of a run, which may refer to ``${hydra:job.name}``.

    Raises:
        ConfigError: it cannot be resolved.
    """
    written: Any = OmegaConf.to_container(composed.hydra.run, resolve=False)
    with resolving("hydra.run.dir", written["dir"]):
        return Path(composed.hydra.run.dir)
