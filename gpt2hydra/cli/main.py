"""From the command line, or from Python, to a validated configuration: :func:`main` and :func:`compose`.

``main`` is ``hydra.main`` for functions that take the validated dataclass. Its order: compose once, pass the gate, look at the
files the config names, and only then make a directory and start the job.
"""

from __future__ import annotations

import functools
import io
import os
import sys
import typing
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from gpt2hydra.cli.before_start import device_problems, machine_problems, note_overruled, warn_of_memory
from gpt2hydra.cli.exit import program
from gpt2hydra.cli.extras import require
from gpt2hydra.cli.resume import Place, configuration_of_the_run, place_of, resumed_run
from gpt2hydra.composition.compose import compose_and_check, refused_whole
from gpt2hydra.composition.composer import Composer, parse
from gpt2hydra.composition.hydra_errors import resolving
from gpt2hydra.composition.hydra_internals import (
    arguments_parser,
    failure_of,
    hydra_of,
    make_callbacks,
    report_as_hydra,
    run_hydra,
    set_version_base,
)
from gpt2hydra.composition.job import job
from gpt2hydra.composition.schema import ROOTS, instantiate, register_schemas
from gpt2hydra.composition.yaml_traps import as_typed
from gpt2hydra.config.checked import Checked
from gpt2hydra.config.errors import ConfigError, Violation, command_line
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.words import did_you_mean
from gpt2hydra.training.directory import check_directory, new_directory, remove_fresh, unwritable
from gpt2hydra.training.processes import agree, one_voice, this_process, together

Job = Callable[[Any], Any]


def main(
    config_name: str = "train", config_path: str | os.PathLike[str] | None = None, *, extra: str | None = None
) -> Callable[[Job], Callable[..., Any]]:
    """Decorate a function that takes a validated configuration, as ``hydra.main`` does for a ``DictConfig``.

    The command line is Hydra's: overrides, ``-m``, ``--cfg``, ``--info``, ``--help``, ``--config-dir``, shell completion. A
    config that is refused is reported on standard error and exits with 1; no directory is made and the function's imports
    do not happen.

    Args:
        config_name: the primary config, ``train``, ``generate``, or one of your own that lists ``train_schema`` or
            ``generate_schema`` in its defaults.
        config_path: the folder that holds it, relative to the decorated function's file; by default our own ``conf/``.
        extra: an extra of this package that the function needs; said after validation where it is not installed.

    The decorated function can also be called with a ready dataclass, or with a composed ``DictConfig``.
    """

    def decorate(function: Job) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(config: Checked | DictConfig | None = None) -> Any:
            if config is not None:
                return function(instantiate(config) if isinstance(config, DictConfig) else config)
            return _CommandLine(function, config_name, _folder(function, config_path), extra).run()

        return wrapper

    return decorate


def _folder(function: Job, config_path: str | os.PathLike[str] | None) -> Path:
    if config_path is None:
        return CONF_DIR
    return (Path(function.__code__.co_filename).parent / config_path).resolve()


def output_dir() -> Path:
    """Where this run writes: Hydra's directory inside a job, else a new ``outputs/<date>/<time>``."""
    if HydraConfig.initialized() and not OmegaConf.is_missing(HydraConfig.get().runtime, "output_dir"):
        return Path(HydraConfig.get().runtime.output_dir)
    return new_directory()


# --------------------------------------------------------------------------------------------------- the command line


class _CommandLine:
    """One call of the decorated function without arguments."""

    def __init__(self, function: Job, config_name: str, config_dir: Path, extra: str | None) -> None:
        self.function, self.extra = function, extra
        self.parser = arguments_parser()
        self.arguments: Namespace = self._parse()
        self.config_name = self.arguments.config_name or config_name
        self.config_dir = Path(self.arguments.config_path or config_dir).resolve()
        self.config_class = _declared_class(function, self.config_name)
        self.arguments.overrides = as_typed(
            self.arguments.overrides, self.config_class, sweep=bool(self.arguments.multirun or self.arguments.shell_completion)
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
        with program(), self._hydras_origins():
            if self.arguments.shell_completion and any(each.startswith("query=") for each in self.arguments.overrides):
                self._complete()
            elif self._only_looks():
                self._look()
            else:
                self.process = this_process()
                with one_voice(self.process):
                    self._start()

    @contextmanager
    def _hydras_origins(self) -> Iterator[None]:
        """Add who set it to a violation of Hydra's own config, which provenance leaves aside."""
        try:
            yield
        except ConfigError as error:
            typed = {text.partition("=")[0].lstrip("+"): command_line(text) for text in self.arguments.overrides}
            told = [
                replace(each, source=typed.get(each.key)) if each.key.startswith("hydra.") and not each.source else each
                for each in error.violations
            ]
            raise error if told == list(error.violations) else ConfigError(told) from error

    def _only_looks(self) -> bool:
        options = self.arguments
        return bool(options.help or options.hydra_help or options.cfg or options.info or options.shell_completion)

    def _complete(self) -> None:
        """Answer the question of a shell; what is wrong with the configuration is not told here."""
        from gpt2hydra.cli.completion import answer, option_before_cursor

        self.arguments.config_dir = option_before_cursor("--config-dir", "-cd") or self.arguments.config_dir
        with suppress(Exception):
            for each in answer(self._composer(), self.config_class, self.parser):
                print(each)

    def _look(self) -> None:
        """``--help``, ``--hydra-help``, ``--cfg``, ``--info`` and completion are Hydra's; a broken config gets our report."""
        from gpt2hydra.cli.help import register_help

        options = self.arguments
        if sum(map(bool, (options.run, options.multirun, options.cfg, options.info, options.shell_completion))) > 1:
            self.parser.error("--run, --multirun, --cfg, --info and --shell-completion exclude each other")
        register_schemas()
        register_help()
        said = io.StringIO()
        try:
            with redirect_stderr(said):
                run_hydra(self.arguments, self.parser, self.function, str(self.config_dir), self.config_name)
        except Exception as error:
            with refused_whole(self._composer(), options.overrides):
                raise error
        except SystemExit as stop:
            cause = stop.__context__
            if stop.code not in (0, None) and isinstance(cause, Exception):
                with refused_whole(self._composer(), options.overrides):
                    raise cause from None
            sys.stderr.write(said.getvalue())
            raise
        sys.stderr.write(said.getvalue())
        if options.cfg in ("job", "all"):
            sys.stdout.flush()
            compose_and_check(self._composer(), options.overrides)  # what was shown may still break a rule

    def _composer(self) -> Composer:
        self._check_options()
        return Composer(self.config_name, self.config_dir, self.arguments.config_dir, frozen=True)

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
        before, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, hydra_of(self.function, composer.loader)
        try:
            config = None if self.arguments.multirun else self._compose(composer, overrides)
            if config is None or config.hydra.mode == RunMode.MULTIRUN:
                if self.process.count > 1:
                    rule = "starts one job after another, torchrun one job on several processes; give each point a torchrun"
                    raise ConfigError([Violation("-m", rule=rule)])
                from gpt2hydra.cli.sweep import sweep

                sweep(composer, overrides, self.function, self.extra)
            else:
                self._start_job(composer, config)
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
                valid: Checked = composer.read_right(instantiate(composed), self.arguments.overrides)
                return valid
        return configuration_of_the_run(composer, composed, self.arguments.overrides)

    def _refuse(self, composer: Composer, problems: Sequence[Violation]) -> None:
        if problems:
            raise self._blaming(composer, problems)

    def _blaming(self, composer: Composer, problems: Sequence[Violation]) -> ConfigError:
        """``problems`` with who set each."""
        return ConfigError(map(composer.trace(self.arguments.overrides).blame, problems))


def _declared_class(function: Job, config_name: str) -> type[Checked]:
    """The configuration class that the function's annotation names, or the one of the primary config."""
    try:
        hints = [hint for name, hint in typing.get_type_hints(function).items() if name != "return"]
    except Exception:  # annotations that cannot be resolved are none of our business
        hints = []
    declared = next((hint for hint in hints if isinstance(hint, type) and issubclass(hint, Checked)), None)
    return declared or ROOTS.get(f"{config_name}_schema", TrainConfig)


# ---------------------------------------------------------------------------------------------- before and after a job


def print_plan(composer: Composer, overrides: Sequence[str], config: Checked) -> None:
    """What would run, on standard output: ``dry_run=true``."""
    changed = composer.trace(overrides).changes(config)
    if isinstance(config, TrainConfig):
        from gpt2hydra.data.corpus import training_tokens
        from gpt2hydra.sizing.plan import Plan
        from gpt2hydra.sizing.report import describe

        print(describe(Plan(config, training_tokens(config), changed)))
    else:
        print("\n".join(f"{each}   ({each.source.set_it()})" for each in changed))
