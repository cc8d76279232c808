"""From the command line, or from Python, to a validated configuration: :func:`main` and :func:`compose`.

``main`` is ``hydra.main`` for functions that take the validated dataclass. Its order: compose once, pass the gate, look at the
files the config names, and only then make a directory and start the job.
"""

from __future__ import annotations

import functools
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from gpt2hydra.cli.application import ATTRIBUTE, Application, Job
from gpt2hydra.cli.before_start import device_problems, machine_problems, note_overruled, warn_of_memory
from gpt2hydra.cli.exit import program
from gpt2hydra.cli.extras import require
from gpt2hydra.cli.resume import Place, changes, configuration_of_the_run, place_of, resumed_run, run_meant
from gpt2hydra.composition.compose import compose_and_check, refused_whole
from gpt2hydra.composition.composer import Composer, parse
from gpt2hydra.composition.gate import instantiate
from gpt2hydra.composition.hydra_errors import resolving
from gpt2hydra.composition.hydra_internals import (
    arguments_parser,
    failure_of,
    help_text,
    hydra_of,
    look,
    make_callbacks,
    report_as_hydra,
    set_version_base,
)
from gpt2hydra.composition.job import job
from gpt2hydra.composition.yaml_traps import as_typed
from gpt2hydra.config.checked import Checked
from gpt2hydra.config.errors import ConfigError, Violation, command_line
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.words import did_you_mean
from gpt2hydra.training.directory import check_directory, new_directory, remove_fresh, unwritable
from gpt2hydra.training.processes import agree, one_voice, this_process, together


def main(
    config_name: str = "train", config_path: str | os.PathLike[str] | None = None, *, extra: str | None = None
) -> Callable[[Job], Callable[..., Any]]:
    """Decorate a function that takes a validated configuration, as ``hydra.main`` does for a ``DictConfig``.

    The command line is Hydra's: overrides, ``-m``, ``--cfg``, ``--info``, ``--help``, ``--config-dir``, shell completion. A
    config that is refused is reported on standard error and exits with 1; no directory is made and the function's imports
    do not happen.

    What the config becomes is the class that the function's annotation names: ``TrainConfig``, ``GenerateConfig``, or one of
    your own, declared with what :mod:`gpt2hydra.fields` has. Its schema is ``<config_name>_schema``, to be listed first in the
    primary config's defaults. There, ``gpt2/model@SECTION: large`` gives any section one of our sizes, typed, and
    so do ``gpt2/tokenizer`` and ``gpt2/hardware``. A class that derives from ``TrainConfig`` or ``GenerateConfig`` also
    inherits our groups: ``model: large``, ``experiment: null``; files of your own folder go before ours. Fields named
    ``dry_run`` and ``preflight`` mean what they mean in ``train.py``.

    Args:
        config_name: the primary config, ``train``, ``generate``, or one of your own.
        config_path: the folder that holds it, relative to the decorated function's file; by default our own ``conf/``.
        extra: an extra of this package that the function needs; said after validation where it is not installed.

    The decorated function can also be called with a ready dataclass, or with a composed ``DictConfig``.

    Raises:
        TypeError: at once, if the class is declared wrongly, or the annotation names no configuration class.
    """

    def decorate(function: Job) -> Callable[..., Any]:
        application = Application.of(function, config_name, config_path, extra)

        @functools.wraps(function)
        def wrapper(config: Checked | DictConfig | None = None) -> Any:
            if isinstance(config, DictConfig):
                return function(
                    instantiate(config, application.config_class) if application.config_class else instantiate(config)
                )
            return _CommandLine(application).run() if config is None else function(config)

        setattr(wrapper, ATTRIBUTE, application)
        return wrapper

    return decorate


def output_dir() -> Path:
    """Where this run writes: Hydra's directory inside a job, else a new ``outputs/<date>/<time>``."""
    if HydraConfig.initialized() and not OmegaConf.is_missing(HydraConfig.get().runtime, "output_dir"):
        return Path(HydraConfig.get().runtime.output_dir)
    return new_directory()


# --------------------------------------------------------------------------------------------------- the command line


class _CommandLine:
    """One call of the decorated function without arguments."""

    def __init__(self, application: Application) -> None:
        self.function, self.extra, self.config_class = application.function, application.extra, application.config_class
        self.parser = arguments_parser()
        self.arguments: Namespace = self._parse()
        self.config_name = self.arguments.config_name or application.config_name
        self.config_dir = Path(self.arguments.config_path or application.config_dir).resolve()
        self.arguments.overrides = as_typed(
            self.arguments.overrides,
            self.config_class or TrainConfig,
            sweep=bool(self.arguments.multirun or self.arguments.shell_completion),
        )

    def _parse(self) -> Namespace:
        arguments, unknown = self.parser.parse_known_args()
        if unknown:
            hint = "values are set without dashes, as model=large, and options stand before all of them"
            self.parser.error(f"unrecognized arguments: {' '.join(unknown)}; {hint}")
        return arguments

    def run(self) -> None:
        """Do what the command line asks for; a refusal is printed and exits with 1."""
        set_version_base()
        with program(), self._better_told():
            if self.arguments.shell_completion and any(each.startswith("query=") for each in self.arguments.overrides):
                self._complete()
            elif self._only_looks():
                self._look()
            else:
                self.process = this_process()
                with one_voice(self.process):
                    self._start()

    @contextmanager
    def _better_told(self) -> Iterator[None]:
        """Add who set a key of Hydra's own config, which provenance leaves aside, and the key that a run's directory lacks."""
        try:
            yield
        except ConfigError as error:
            typed = {text.partition("=")[0].lstrip("+"): command_line(text) for text in self.arguments.overrides}
            told = [
                replace(each, source=typed.get(each.key)) if each.key.startswith("hydra.") and not each.source else each
                for each in error.violations
            ]
            told = [run_meant(each, self.config_class or TrainConfig) for each in told]
            raise error if told == list(error.violations) else ConfigError(told) from error

    def _only_looks(self) -> bool:
        options = self.arguments
        return bool(options.help or options.hydra_help or options.cfg or options.info or options.shell_completion)

    def _complete(self) -> None:
        """Answer the question of a shell; what is wrong with the configuration is not told here."""
        from gpt2hydra.cli.completion import answer, option_before_cursor

        self.arguments.config_dir = option_before_cursor("--config-dir", "-cd") or self.arguments.config_dir
        with suppress(Exception):
            for each in answer(self._composer(), self.config_class or TrainConfig, self.parser):
                print(each)

    def _look(self) -> None:
        """``--help``, ``--hydra-help``, ``--cfg``, ``--info`` and completion are Hydra's; a broken config gets our report."""
        options = self.arguments
        if sum(map(bool, (options.run, options.multirun, options.cfg, options.info, options.shell_completion))) > 1:
            self.parser.error("--run, --multirun, --cfg, --info and --shell-completion exclude each other")
        composer = self._composer()
        try:
            with self._global_hydra(composer) as hydra:
                if options.help:
                    self._help(composer, hydra)
                else:
                    look(hydra, options, self.parser, self.config_name)
        except BrokenPipeError:
            raise
        except Exception as error:
            with refused_whole(composer, options.overrides):
                raise error
        if options.cfg in ("job", "all"):
            sys.stdout.flush()
            compose_and_check(composer, options.overrides)  # what was shown may still break a rule

    def _help(self, composer: Composer, hydra: Any) -> None:
        from gpt2hydra.cli.help import use_our_help

        config = composer.full(self.arguments.overrides)
        composer.class_of(config)
        HydraConfig.instance().set_config(config)
        use_our_help(config)
        print(help_text(hydra, config, self.parser, self.arguments.resolve))

    def _composer(self) -> Composer:
        self._check_options()
        return Composer(
            self.config_name, self.config_dir, self.arguments.config_dir, frozen=True, config_class=self.config_class
        )

    def _check_options(self) -> None:
        if self.arguments.experimental_rerun is not None:
            rule = "would unpickle a file, which runs whatever is in it; repeat the overrides of .hydra/overrides.yaml instead"
            raise ConfigError([Violation("--experimental-rerun", self.arguments.experimental_rerun, rule)])
        for option, folder in (("--config-path", self.config_dir), ("--config-dir", self.arguments.config_dir)):
            if folder is not None and not os.path.isdir(folder):
                raise ConfigError([Violation(option, str(folder), "is not a folder", command_line())])
        if not (Path(self.config_dir) / f"{self.config_name}.yaml").is_file() and self.arguments.config_dir is None:
            known = sorted(file.stem for file in Path(self.config_dir).glob("*.yaml"))
            near = did_you_mean(self.config_name, known)
            rule = f"is not a primary config in {self.config_dir}; known: {', '.join(known)}{near}"
            raise ConfigError([Violation("--config-name", self.config_name, rule)])

    def _start(self) -> None:
        if self.arguments.resolve:
            self.parser.error("--resolve goes with --cfg or --help")
        composer = self._composer()
        overrides = self.arguments.overrides
        with self._global_hydra(composer):
            config = None if self.arguments.multirun else self._compose(composer, overrides)
            if config is None or config.hydra.mode == RunMode.MULTIRUN:
                if self.process.count > 1:
                    rule = "starts one job after another, torchrun one job on several processes; give each point a torchrun"
                    raise ConfigError([Violation("-m", rule=rule)])
                from gpt2hydra.cli.sweep import sweep

                sweep(composer, overrides, self.function, self.extra)
            else:
                self._start_job(composer, config)

    @contextmanager
    def _global_hydra(self, composer: Composer) -> Iterator[Any]:
        """Within, the Hydra of this program is the process's, which launchers and callbacks ask."""
        hydra = hydra_of(self.function, composer.loader)
        before, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, hydra
        try:
            yield hydra
        finally:
            GlobalHydra.instance().hydra = before

    def _compose(self, composer: Composer, overrides: list[str]) -> DictConfig:
        """Hydra's one composition for this run. Sweeps are left out of it, for it may say ``hydra.mode: MULTIRUN``."""
        with refused_whole(composer, overrides):
            return composer.full(overrides, lawful=False)

    def _start_job(self, composer: Composer, composed: DictConfig) -> None:
        config = self._pass_gate(composer, composed)
        self._refuse(composer, [*machine_problems(config), *together(self.process, config)])
        note_overruled(composer, self.arguments.overrides)
        if getattr(config, "dry_run", False):
            if isinstance(config, TrainConfig) and config.resume is not None:
                sys.stderr.write(f"{self._place(composer, composed, config).words(config)}.\n\n")
            print_plan(composer, self.arguments.overrides, config)
            return
        require(self.extra)
        if self.extra:
            self._refuse(composer, device_problems(config))
        place = Place(**agree(self.process, lambda: asdict(self._place(composer, composed, config))))
        directory, words = Path(place.directory), place.words(config)
        if place.loss is not None:
            print(words)
            return
        sys.stderr.write(f"{words}.\n" * bool(words))
        config = place.of(config)
        place.redirect(composed, silent=not self.process.first)
        warn_of_memory(config)
        callbacks, fresh = make_callbacks(composed), not directory.exists()
        callbacks.on_run_start(config=composed, config_name=self.config_name)
        try:
            result = run_job(
                hydra_context=HydraContext(config_loader=composer.loader, callbacks=callbacks),
                task_function=lambda _: self._run(config),
                config=composed,
                job_dir_key="hydra.run.dir",
                job_subdir_key=None,
            )
        except OSError as error:
            raise ConfigError([unwritable(directory, error.strerror, "hydra.run.dir")]) from error
        except Exception as error:  # not the function's: those are in the result
            if fresh:
                remove_fresh(directory)
            raise ConfigError([Violation("hydra.job_logging", rule=f"cannot be set up: {error.__cause__ or error}")]) from error
        callbacks.on_run_end(config=composed, config_name=self.config_name, job_return=result)
        failure = failure_of(result)
        if isinstance(failure, (ConfigError, BrokenPipeError)) or (
            isinstance(failure, BaseException) and not self.process.first
        ):
            raise failure
        report_as_hydra(lambda: result.return_value)

    def _place(self, composer: Composer, composed: DictConfig, config: Checked) -> Place:
        """Where this run writes, seen to be free for it."""
        directory = Path(composed.hydra.runtime.output_dir)
        if not isinstance(config, TrainConfig):
            place = Place(str(directory))
        else:
            written: Any = OmegaConf.to_container(composed.hydra, resolve=False)
            try:
                place = place_of(config, directory, written["run"]["dir"])
            except ConfigError as error:
                raise self._blaming(composer, error.violations) from None
        if place.step is None and place.loss is None:
            check_directory(Path(place.directory), "hydra.run.dir")
        return place

    def _run(self, config: Checked) -> Any:
        with job(config):
            return self.function(config)

    def _pass_gate(self, composer: Composer, composed: DictConfig) -> Checked:
        """The valid config, or a ConfigError. ``${hydra:...}`` resolves, the output directory included."""
        written: Any = OmegaConf.to_container(composed.hydra, resolve=False)
        if composed.hydra.mode is None:
            composed.hydra.mode = RunMode.RUN
        with refused_whole(composer, self.arguments.overrides):
            if any(parse(text).is_sweep_override() for text in self.arguments.overrides):
                raise ValueError("a sweep without -m")
            with resolving("hydra.run.dir", written["run"]["dir"]):
                directory = os.path.abspath(composed.hydra.run.dir)
            with read_write(composed.hydra.runtime), open_dict(composed.hydra.runtime):
                composed.hydra.runtime.output_dir = directory
            HydraConfig.instance().set_config(composed)
            if resumed_run(composed) is None:
                return composer.gate(composed, self.arguments.overrides)
        return configuration_of_the_run(composer, composed, self.arguments.overrides)

    def _refuse(self, composer: Composer, problems: Sequence[Violation]) -> None:
        if problems:
            raise self._blaming(composer, problems)

    def _blaming(self, composer: Composer, problems: Sequence[Violation]) -> ConfigError:
        """``problems`` with who set each."""
        return ConfigError(map(composer.trace(self.arguments.overrides).blame, problems))


# ---------------------------------------------------------------------------------------------- before and after a job


def print_plan(composer: Composer, overrides: Sequence[str], config: Checked) -> None:
    """What would run, on standard output: ``dry_run=true``."""
    changed = changes(composer, overrides, config)
    if isinstance(config, TrainConfig):
        from gpt2hydra.data.corpus import training_tokens
        from gpt2hydra.sizing.plan import Plan
        from gpt2hydra.sizing.report import describe

        print(describe(Plan(config, training_tokens(config), changed)))
    else:
        print("\n".join(f"{each}   ({each.source.set_it()})" for each in changed))
