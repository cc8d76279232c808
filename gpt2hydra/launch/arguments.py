"""The command line of a decorated program: parse it, then start a run or a sweep, or print information."""

from __future__ import annotations

import functools
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from hydra import __version__ as hydra_version
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from gpt2hydra.composition.compose import compose_and_check, refusal_after
from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_compat import help_text, make_arguments_parser, make_hydra, print_information, set_version_base
from gpt2hydra.composition.overrides import OverrideTexts
from gpt2hydra.config.errors import ConfigError, UsageError, Violation, command_line
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.validation import Checked
from gpt2hydra.launch.application import Application, add_implied_overrides
from gpt2hydra.launch.handle_errors import handle_errors
from gpt2hydra.launch.hydra_components import add_source
from gpt2hydra.training.processes import rank_zero_output, this_process
from gpt2hydra.utils.formatting import did_you_mean
from gpt2hydra.utils.openmp import limit_spinning
from gpt2hydra.utils.verbosity import quiet
from gpt2hydra.version import __version__


class CommandLine:
    """One call of the decorated function without arguments."""

    def __init__(self, application: Application) -> None:
        self.application, self.config_class = application, application.config_class
        self.parser = _parser()
        self.arguments: Namespace = self._parse()
        self.config_name = (self.arguments.config_name or application.config_name).removesuffix(".yaml")
        self.config_dir = Path(self.arguments.config_path or application.config_dir).resolve()
        sweep = bool(self.arguments.multirun or self.arguments.shell_completion)
        self.words = OverrideTexts.from_command_line(self.arguments.overrides, self.config_class or TrainConfig, sweep=sweep)

    def _parse(self) -> Namespace:
        words = read_arguments()
        arguments, unknown = self.parser.parse_known_args(words)
        if unknown:  # an option between overrides: argparse has to parse again
            arguments, unknown = self.parser.parse_known_intermixed_args(words)
        if unknown:
            self._refuse_options(words, unknown)
        arguments.topics = [word for word in arguments.overrides if arguments.help and "=" not in word and word[:1] != "~"]
        arguments.overrides = [word for word in arguments.overrides if word not in arguments.topics]
        return arguments

    def _refuse_options(self, words: list[str], unknown: list[str]) -> NoReturn:
        from gpt2hydra.launch.completion import option_strings  # needed only for this message
        from gpt2hydra.launch.usage_hints import unknown_option_message

        groups = self.application.composer().options.groups()
        message = unknown_option_message(words, unknown, option_strings(self.parser), self.config_class or TrainConfig, groups)
        self.parser.exit(2, f"{self.parser.prog}: error: {message}\n")

    def run(self) -> None:
        """Do what the command line asks for. A ConfigError is printed, and the program exits with 1."""
        set_version_base()
        with handle_errors(), quiet() if self.arguments.quiet else nullcontext(), self._add_sources():
            self._check_encoding()
            self.words = add_implied_overrides(self.words, self._composer)
            self.arguments.overrides = self.words.texts
            with self.words.showing_sources():
                self._dispatch()

    def _dispatch(self) -> None:
        if self.arguments.shell_completion and any(each.startswith("query=") for each in self.arguments.overrides):
            self._complete()
        elif self._only_prints():
            self._print_information()
        else:
            self.process = this_process()
            limit_spinning()
            with rank_zero_output(self.process):
                self._start()

    @contextmanager
    def _add_sources(self) -> Iterator[None]:
        """Context manager: complete a ConfigError.

        Add the source of Hydra's own keys, which provenance does not have; suggest ``resume=`` for a run
        directory that is typed without a key.
        """
        try:
            yield
        except ConfigError as error:
            if type(error) is not ConfigError:  # an error of a run, not of its configuration
                raise
            composer = functools.cache(self._composer)
            violations = [add_source(each, self.arguments.overrides, composer) for each in error.violations]
            from gpt2hydra.launch.resume import suggest_resume  # needed only for a refusal

            violations = [suggest_resume(each, self.config_class or TrainConfig) for each in violations]
            raise error if violations == list(error.violations) else ConfigError(violations) from error

    def _only_prints(self) -> bool:
        options = self.arguments
        return bool(options.help or options.hydra_help or options.cfg or options.info or options.shell_completion)

    def _complete(self) -> None:
        """Print the completions that a shell asks for; errors in the configuration are not reported."""
        from gpt2hydra.launch.completion import complete, option_value_before_cursor  # a run does not need it

        self.arguments.config_dir = option_value_before_cursor("--config-dir", "-cd") or self.arguments.config_dir
        with suppress(Exception):
            for each in complete(self._composer(), self.config_class or TrainConfig, self.parser):
                print(each)

    def _print_information(self) -> None:
        """Let Hydra print ``--help``, ``--cfg``, ``--info``, completions; report an invalid config."""
        options = self.arguments
        if sum(map(bool, (options.run, options.multirun, options.cfg, options.info, options.shell_completion))) > 1:
            self.parser.error("--run, --multirun, --cfg, --info and --shell-completion exclude each other")
        composer = self._composer()
        try:
            with self._global_hydra(composer) as hydra:
                if options.help:
                    self._help(composer, hydra)
                else:
                    print_information(hydra, options, self.parser, self.config_name)
        except BrokenPipeError:
            raise
        except Exception as error:
            raise refusal_after(composer, options.overrides, error) from error
        if options.cfg in ("job", "all"):
            sys.stdout.flush()
            compose_and_check(composer, options.overrides)  # the printed config may still break a rule

    def _help(self, composer: Composer, hydra: Any) -> None:
        from gpt2hydra.launch.help import install_help_template  # a run does not need it

        config = composer.compose_by_hydra(self.arguments.overrides)
        root = composer.class_of(config)
        HydraConfig.instance().set_config(config)
        install_help_template(config, root, Path(self.config_dir).name, self.arguments.topics)
        print(help_text(hydra, config, self.parser, self.arguments.resolve))

    def _composer(self) -> Composer:
        self._check_options()
        application = replace(self.application, config_name=self.config_name, config_dir=self.config_dir)
        return application.composer(self.arguments.config_dir, _find_start_violations)

    def _check_encoding(self) -> None:
        """Refuse arguments whose bytes are not UTF-8: neither our files nor YAML can hold them."""
        violations = []
        for word in read_arguments():
            try:
                word.encode()
            except UnicodeEncodeError:
                shown = os.fsencode(word).decode(errors="backslashreplace")
                violations.append(Violation(shown, rule="has bytes that are not UTF-8"))
        if violations:
            raise UsageError(violations)

    def _check_options(self) -> None:
        if self.arguments.experimental_rerun is not None:
            rule = "would unpickle a file, which can run any code; repeat the overrides of .hydra/overrides.yaml instead"
            raise UsageError([Violation("--experimental-rerun", self.arguments.experimental_rerun, rule)])
        for option, folder in (("--config-path", self.config_dir), ("--config-dir", self.arguments.config_dir)):
            if folder is not None and not os.path.isdir(folder):
                raise UsageError([Violation(option, str(folder), "is not a folder", command_line())])
        if not (Path(self.config_dir) / f"{self.config_name}.yaml").is_file() and self.arguments.config_dir is None:
            known = sorted(file.stem for file in Path(self.config_dir).glob("*.yaml"))
            near = did_you_mean(self.config_name, known)
            rule = f"is not a primary config in {self.config_dir}; known: {', '.join(known)}{near}"
            raise UsageError([Violation("--config-name", self.config_name, rule)])

    def _start(self) -> None:
        if self.arguments.resolve:
            self.parser.error("--resolve needs --cfg or --help")
        from gpt2hydra.launch.run import RunLauncher  # imports training/, which help and completion do not need

        composer = self._composer()
        words, verbose = self.words, self.arguments.verbose
        if verbose:
            words = replace(words, texts=[*words.texts, "hydra.verbose=true"])
        launcher = RunLauncher(composer, words, self.application, self.process, verbose)
        with self._global_hydra(composer):
            found = None if self.arguments.multirun else launcher.compose()
            if found is None or found.composed is None or found.composed.hydra.mode == RunMode.MULTIRUN:
                if self.process.world_size > 1:
                    rule = (
                        "starts one job after another, but torchrun one job in several processes; call torchrun for each point"
                    )
                    raise UsageError([Violation("-m", rule=rule)])
                from gpt2hydra.launch.sweep import sweep  # a single run does not need it

                sweep(composer, words.texts, self.application.task, self.application.extra)
            else:
                launcher.run(found)

    @contextmanager
    def _global_hydra(self, composer: Composer) -> Iterator[Any]:
        """Context manager: make this program's Hydra the global one, which launchers and callbacks use."""
        hydra = make_hydra(self.application.function, composer.loader)
        before, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, hydra
        try:
            yield hydra
        finally:
            GlobalHydra.instance().hydra = before


def _find_start_violations(config: Checked) -> Sequence[Violation]:
    """Return the violations that could stop a run and that show in the configuration itself."""
    from gpt2hydra.launch.checks import Context, run_checks  # imports runs/, which help and completion do not need

    return run_checks(Context(config))


def _parser() -> ArgumentParser:
    """Return a parser of Hydra's options, ``-v``, ``-q``, and our ``--version``."""
    parser = ArgumentParser(parents=[make_arguments_parser()], add_help=False, allow_abbrev=False, conflict_handler="resolve")
    version = f"gpt2hydra {__version__}, Hydra {hydra_version}"
    parser.add_argument("--version", action="version", version=version, help="Versions of gpt2hydra and Hydra")
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--verbose", "-v", action="store_true", help="First list the values that are set and their sources; log at DEBUG level"
    )
    either.add_argument("--quiet", "-q", action="store_true", help="Print no progress and no notes")
    return parser


def read_arguments() -> list[str]:
    """Return the arguments after the program's name.

    In a notebook they are empty, because ``sys.argv`` holds the kernel's arguments, unless
    ``%run train.py model=large`` has replaced them.
    """
    words = sys.argv[1:]
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()  # None if a script only imports IPython
    untouched = words == sys.orig_argv[len(sys.orig_argv) - len(words) :]
    return [] if hasattr(shell, "kernel") and untouched else words
