"""One run, from the composed config to the end of the function. Sweeps are in :mod:`gpt2hydra.launch.sweep`.

The order: validate the configuration, run :mod:`gpt2hydra.launch.checks`, then make a directory and start.
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
from gpt2hydra.composition.hydra_compat import job_error, make_callbacks, report_as_hydra
from gpt2hydra.composition.hydra_errors import instantiating, resolving
from gpt2hydra.composition.hydra_state import set_output_directory
from gpt2hydra.composition.job import job
from gpt2hydra.composition.overrides import OverrideTexts
from gpt2hydra.config.errors import ConfigError, Violation, collect_violations
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.validation import Checked
from gpt2hydra.launch.application import Application
from gpt2hydra.launch.checks import Context, build_from_valid_values, error_from_checks, is_dry, run_checks
from gpt2hydra.launch.hydra_components import check_references, compose_valid_overrides, files_of_job, format_log_error
from gpt2hydra.launch.notes import format_settings, note_choices_without_effect, note_fine_tuning, print_plan, warn_of_memory
from gpt2hydra.launch.resume import RunLocation, locate_run
from gpt2hydra.runs.directory import check_directory, check_space, remove_new_directory, unwritable_violation
from gpt2hydra.training.processes import Process, decide_on_rank_zero
from gpt2hydra.utils.formatting import error_reason
from gpt2hydra.utils.paths import nearest_existing


@dataclass(frozen=True)
class RunLauncher:
    """Launches a run with these overrides. ``process`` may be one of several."""

    composer: Composer
    words: OverrideTexts
    application: Application
    process: Process
    verbose: bool = False
    """Whether to list the values that are set before the start."""

    def compose(self) -> Composition:
        """Compose this run. Hydra composes it without lists of values, because a file may ask for a sweep."""
        found = compose_run(self.composer, self.words.texts, self._find_more_violations)
        assert found.composed is not None
        check_references(found.composed, "mode")
        return found

    def run(self, found: Composition) -> None:
        """Validate the configuration and run all checks; only then make a directory and call the function."""
        composed = found.composed
        assert composed is not None
        config = self._validate(found, composed)
        provenance = found.provenance.with_sources(self.words.source)
        locations: list[RunLocation] = []
        violations = run_checks(self._context(config, composed, lambda: locations.append(self._locate(composed, config))))
        if violations:
            raise self._error_with_sources(violations, provenance)
        note_choices_without_effect(found.overrides, provenance)
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
        if words and location.step is None:  # a resumed run prints this itself
            sys.stderr.write(f"{words}.\n")
        self._run_hydra_job(composed, location.set_resume(config), location, provenance)

    # ----------------------------------------------------------------------------------------------------- the checks

    def _context(self, config: Checked | None, composed: DictConfig, locate: Callable[[], object] | None) -> Context:
        return Context(config, composed=composed, process=self.process, extra=self.application.extra, locate=locate)

    def _locate(self, composed: DictConfig, config: Checked) -> RunLocation:
        """Find the location of this run in rank 0, which sends it to the other processes."""
        return RunLocation(**decide_on_rank_zero(self.process, lambda: asdict(self._locate_and_check(composed, config))))

    def _locate_and_check(self, composed: DictConfig, config: Checked) -> RunLocation:
        """Find the location of this run and check that it can write there.

        Raises:
            ConfigError: the directory cannot be written, holds another run, or has no space.
        """
        location = locate_run(config, composed)
        if location.step is None and location.loss is None:
            check_directory(Path(location.directory), "hydra.run.dir", files=files_of_job(composed))
        if location.loss is None and isinstance(config, TrainConfig):
            check_space(config, Path(location.directory), "hydra.run.dir")
        return location

    def _find_more_violations(self, valid_part: Composition, composed: DictConfig | None = None) -> Sequence[Violation]:
        """Return what the checks find in the valid overrides and values of an invalid configuration."""
        config, replaced_keys = build_from_valid_values(valid_part)
        composed = composed or self.composer.hydra_section(valid_part)
        composed = composed or compose_valid_overrides(self.composer, valid_part.overrides.texts, RunMode.RUN)
        if composed is None:
            return ()
        locate = partial(self._check_new_directory, composed, None if replaced_keys else config)
        found = run_checks(replace(self._context(config, composed, locate), replaced_keys=replaced_keys))
        return self._error_with_sources(found, valid_part.provenance).violations if found else ()

    def _check_new_directory(self, composed: DictConfig, config: Checked | None) -> None:
        """Check the directory of a run that is refused for other violations.

        Raises:
            ConfigError: it cannot be resolved, cannot be written, or holds another run.
        """
        HydraConfig.instance().set_config(composed)  # the directory may refer to ${hydra:job.name}
        directory = _run_directory(composed)
        check_directory(directory, "hydra.run.dir", files=files_of_job(composed))
        if isinstance(config, TrainConfig):
            check_space(config, directory, "hydra.run.dir")

    @staticmethod
    def _error_with_sources(violations: Sequence[Violation], provenance: Provenance) -> ConfigError:
        """Return the error for these violations, each with its source."""
        return error_from_checks([*map(provenance.add_source, violations)])

    # ------------------------------------------------------------------------------------------------------ the start

    def _print_plan(self, provenance: Provenance, composed: DictConfig, config: Checked) -> None:
        if isinstance(config, TrainConfig) and config.resume is not None:
            sys.stderr.write(f"{self._locate_and_check(composed, config).format(config)}.\n\n")
        print_plan(provenance.changes(config), config)

    def _run_hydra_job(self, composed: DictConfig, config: Checked, location: RunLocation, provenance: Provenance) -> None:
        """Run Hydra's job, which makes the directory and calls the function."""
        location.redirect(composed, silent=not self.process.is_rank_zero)
        warn_of_memory(config)
        directory = Path(location.directory)
        with instantiating("hydra.callbacks", "names a callback that cannot be created"):
            callbacks = make_callbacks(composed)
        existing = nearest_existing(directory)
        callbacks.on_run_start(config=composed, config_name=self.composer.config_name)
        try:
            result = run_job(
                hydra_context=HydraContext(config_loader=self.composer.loader, callbacks=callbacks),
                task_function=lambda job_config: self._call_task(config, job_config, provenance),
                config=composed,
                job_dir_key="hydra.run.dir",
                job_subdir_key=None,
            )
        except OSError as error:
            remove_new_directory(directory, existing)
            raise ConfigError([unwritable_violation(directory, error_reason(error), "hydra.run.dir")]) from error
        except Exception as error:  # of Hydra; errors of the function are in the result
            remove_new_directory(directory, existing)
            raise ConfigError([Violation("hydra.job_logging", rule=format_log_error(error))]) from error
        callbacks.on_run_end(config=composed, config_name=self.composer.config_name, job_return=result)
        failure = job_error(result)
        if isinstance(failure, (ConfigError, BrokenPipeError)) or (
            isinstance(failure, BaseException) and not self.process.is_rank_zero
        ):
            raise failure
        report_as_hydra(lambda: result.return_value)

    def _call_task(self, config: Checked, composed: DictConfig, provenance: Provenance) -> Any:
        with job(config, provenance):
            return self.application.task(config, composed)

    def _validate(self, found: Composition, composed: DictConfig) -> Checked:
        """Return the valid config. After this call ``${hydra:...}`` resolves, also to the output directory.

        Raises:
            ConfigError: with all violations.
        """
        if composed.hydra.mode is None:
            composed.hydra.mode = RunMode.RUN
        HydraConfig.instance().set_config(composed)
        violations: list[Violation] = []
        with collect_violations(violations):
            set_output_directory(composed, str(_run_directory(composed)))
        self.composer.accept_composed(found, composed)
        found.violations += violations
        if found.violations:
            raise refusal(self.composer, found, partial(self._find_more_violations, composed=composed))
        return found.config


def _run_directory(composed: DictConfig) -> Path:
    """Return the directory of a run. It may contain ``${hydra:job.name}``.

    Raises:
        ConfigError: it cannot be resolved.
    """
    written: Any = OmegaConf.to_container(composed.hydra.run, resolve=False)
    with resolving("hydra.run.dir", written["dir"]):
        return Path(composed.hydra.run.dir)
