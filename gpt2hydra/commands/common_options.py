"""Options that several commands share: ``--config-dir``, ``--app``, overrides, the file to write."""

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
from gpt2hydra.composition.overrides import OverrideTexts
from gpt2hydra.config.errors import ConfigError, UsageError, Violation, io_violation
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.launch.application import APPLICATION_ATTRIBUTE, Application, add_implied_overrides
from gpt2hydra.launch.extras import check_extra
from gpt2hydra.utils.formatting import did_you_mean
from gpt2hydra.utils.invocation import PROGRAMS
from gpt2hydra.utils.paths import user_path

PICTURE_SUFFIXES = (".png", ".svg", ".pdf")
"""Suffixes of a picture's file."""


def add_config_dir(parser: argparse.ArgumentParser) -> None:
    """Add ``--config-dir``."""
    parser.add_argument("--config-dir", metavar="DIR", help="one more folder of YAML files, as for train.py")


def add_app(parser: argparse.ArgumentParser) -> None:
    """Add ``--app`` for one program."""
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


def load_application(path: str) -> Application:
    """Import the program ``module:function``; the current directory is searched first, as by ``python -m``.

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
    programs = {
        each: getattr(value, APPLICATION_ATTRIBUTE)
        for each, value in vars(module).items()
        if hasattr(value, APPLICATION_ATTRIBUTE)
    }
    if name not in programs:
        known = f"; programs in {module_name}: {', '.join(programs)}" if programs else ""
        rule = f"is not a function decorated with @gpt2hydra.main{known}{did_you_mean(name, programs, f'{module_name}:')}"
        raise ConfigError([Violation("--app", path, rule)])
    found: Application = programs[name]
    return found


def choose_application(app: str | None, words: list[str]) -> Application:
    """Return the program of ``--app``; without it, the one of ours that ``words[0]`` names, else train.

    A name in ``words[0]`` is removed from ``words``.

    Raises:
        ConfigError: there is no such program.
    """
    ours = words.pop(0) if app is None and words and words[0] in PROGRAMS else "train"
    return load_application(app or f"gpt2hydra.launch.programs:{ours}")


def conf_tree(options: argparse.Namespace, folder: Path | None = None) -> ConfTree:
    """Return the conf tree in ``folder``; without it, that of the first ``--app``, else ours.

    Raises:
        ConfigError: there is no such program, or the folder is no conf tree.
    """
    programs = [load_application(each) for each in options.app]
    classes = {each.config_name: each.config_class for each in programs if each.config_class is not None}
    default_folder = programs[0].config_dir if programs else CONF_DIR
    return ConfTree(folder or default_folder, classes, options.config_dir)


@dataclass(frozen=True)
class ProgramOverrides:
    """Overrides of a program, and the composer of its configuration."""

    composer: Composer
    words: OverrideTexts

    @classmethod
    def of(
        cls, overrides: Sequence[str], config_dir: str | None = None, program: Application | None = None
    ) -> ProgramOverrides:
        """Return the overrides of ``program``, by default ``train.py``, with those that they imply."""
        program = program or choose_application(None, [])
        composer = program.composer(config_dir)
        return cls(
            composer,
            add_implied_overrides(
                OverrideTexts.from_command_line(overrides, program.config_class or TrainConfig), lambda: composer
            ),
        )

    def compose(self) -> Any:
        """Compose and validate the configuration.

        Raises:
            ConfigError: it is invalid.
        """
        with self.words.showing_sources():
            return compose_and_check(self.composer, self.words.texts)

    @property
    def provenance(self) -> Provenance:
        """The sources of each value."""
        return self.composer.fold(self.words.texts).provenance.with_sources(self.words.source)

    def options(self, group: str) -> Sequence[str]:
        """Return the options of a group."""
        return self.composer.options.of(group)


# ------------------------------------------------------------------------------------------------------ files to write


def check_output_file(option: str, path: str, extra: str, formats: Sequence[str] = PICTURE_SUFFIXES) -> Path:
    """Return the file that an option names, after checks that it can be written.

    Raises:
        UsageError: its suffix is not in ``formats``, it has no folder, or ``extra`` is not installed.
    """
    file, rule = Path(path), ""
    try:
        file = user_path(file)
        if file.suffix.lower() not in formats:
            rule = f"must end in {'one of ' * (len(formats) > 1)}{', '.join(formats)}"
        elif file.is_dir() or not file.absolute().parent.is_dir():
            rule = "must be a file in a folder that exists"
    except OSError as error:
        raise UsageError([io_violation(option, path, error, "written")]) from None
    problems = [Violation(option, path, rule)] if rule else check_extra(extra, option, path)
    if problems:
        raise UsageError(problems)
    return file
