"""What several commands take, and what it means: ``--config-dir``, ``--app``, overrides, a file to write."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpt2hydra.composition.compose import compose_and_check
from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.conf_tree import ConfTree
from gpt2hydra.composition.fold import Provenance
from gpt2hydra.composition.overrides import Words
from gpt2hydra.config.errors import ConfigError, UsageError, Violation, unreadable
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.launch.application import ATTRIBUTE, Application, with_implied
from gpt2hydra.launch.extras import check_extra
from gpt2hydra.utils.formatting import did_you_mean
from gpt2hydra.utils.invocation import PROGRAMS
from gpt2hydra.utils.paths import user_path

PICTURES = (".png", ".svg", ".pdf")
"""Formats of a picture."""


def add_config_dir(parser: argparse.ArgumentParser) -> None:
    """Add ``--config-dir``."""
    parser.add_argument("--config-dir", metavar="DIR", help="one more folder of YAML files, as for train.py")


def add_app(parser: argparse.ArgumentParser) -> None:
    """Add ``--app``, which names one program."""
    parser.add_argument("--app", metavar="MODULE:FUNCTION", help="your own program with @gpt2hydra.main (default: train)")


def add_apps(parser: argparse.ArgumentParser) -> None:
    """Add ``--app`` for several programs."""
    parser.add_argument(
        "--app",
        action="append",
        default=[],
        metavar="MODULE:FUNCTION",
        help="your own program with @gpt2hydra.main; repeat it for each program that shares the conf tree",
    )


# ------------------------------------------------------------------------------------------------------------- programs


def application_at(path: str) -> Application:
    """The program that ``module:function`` names, in the current directory first, as ``python -m`` does.

    Raises:
        ConfigError: there is no such module or function, or it is not decorated with ``@gpt2hydra.main``.
    """
    module_name, colon, name = path.partition(":")
    if not (module_name and colon and name):
        raise ConfigError([Violation("--app", path, "must be module:function, as in my_package.finetune:main")])
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError([Violation("--app", path, f"cannot be imported: {error}")]) from None
    programs = {each: getattr(value, ATTRIBUTE) for each, value in vars(module).items() if hasattr(value, ATTRIBUTE)}
    if name not in programs:
        known = f"; programs in {module_name}: {', '.join(programs)}" if programs else ""
        rule = f"is no function under @gpt2hydra.main{known}{did_you_mean(name, programs, f'{module_name}:')}"
        raise ConfigError([Violation("--app", path, rule)])
    found: Application = programs[name]
    return found


def program_meant(app: str | None, words: list[str]) -> Application:
    """The program of ``--app``, or ours that the first of ``words`` names, which is removed; train without one.

    Raises:
        ConfigError: there is no such program.
    """
    ours = words.pop(0) if app is None and words and words[0] in PROGRAMS else "train"
    return application_at(app or f"gpt2hydra.launch.programs:{ours}")


def conf_tree(options: argparse.Namespace, folder: Path | None = None) -> ConfTree:
    """The conf tree in ``folder``; without it, that of the first ``--app``, or ours.

    Raises:
        ConfigError: there is no such program, or the folder is no conf tree.
    """
    programs = [application_at(each) for each in options.app]
    classes = {each.config_name: each.config_class for each in programs if each.config_class is not None}
    own = programs[0].config_dir if programs else CONF_DIR
    return ConfTree(folder or own, classes, options.config_dir)


@dataclass(frozen=True)
class ProgramConfig:
    """The configuration of a program that some overrides make."""

    composer: Composer
    words: Words

    @classmethod
    def of(cls, overrides: Sequence[str], config_dir: str | None = None, program: Application | None = None) -> ProgramConfig:
        """What a program makes of the overrides; ``train.py`` unless another is named."""
        program = program or program_meant(None, [])
        composer = program.composer(config_dir)
        return cls(composer, with_implied(Words.typed(overrides, program.config_class or TrainConfig), lambda: composer))

    def checked(self) -> Any:
        """The composed and validated configuration.

        Raises:
            ConfigError: it is refused.
        """
        with self.words.reported():
            return compose_and_check(self.composer, self.words.texts)

    @property
    def provenance(self) -> Provenance:
        """Who set each value."""
        return self.composer.fold(self.words.texts).provenance.with_sources(self.words.source)

    def options(self, group: str) -> Sequence[str]:
        """The names that ``group=`` takes."""
        return self.composer.options.of(group)


# ------------------------------------------------------------------------------------------------------ files to write


def file_to_write(option: str, path: str, extra: str, formats: Sequence[str] = PICTURES) -> Path:
    """The file that an option names.

    Raises:
        UsageError: it ends in none of the ``formats``, its folder does not exist, or the extra that writes it
            is not installed.
    """
    file, rule = Path(path), ""
    try:
        file = user_path(file)
        if file.suffix.lower() not in formats:
            rule = f"must end in {'one of ' * (len(formats) > 1)}{', '.join(formats)}"
        elif file.is_dir() or not file.absolute().parent.is_dir():
            rule = "must be a file in a folder that exists"
    except OSError as error:
        raise UsageError([unreadable(option, path, error, "written")]) from None
    problems = [Violation(option, path, rule)] if rule else check_extra(extra, option, path)
    if problems:
        raise UsageError(problems)
    return file
