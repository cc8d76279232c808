"""What several commands take, and what it means: ``--config-dir``, ``--app``, overrides."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpt2hydra.composition.compose import compose_and_check
from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.conf_tree import ConfTree
from gpt2hydra.composition.fold import Provenance
from gpt2hydra.composition.overrides import Words
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.launch.application import Application, application_at, values_of_earlier_run, with_implied


def add_app(parser: argparse.ArgumentParser) -> None:
    """Add ``--app``."""
    parser.add_argument(
        "--app",
        action="append",
        default=[],
        metavar="MODULE:FUNCTION",
        help="your own program with @gpt2hydra.main; repeat it for each program that shares the conf tree",
    )


def add_config_dir(parser: argparse.ArgumentParser) -> None:
    """Add ``--config-dir``."""
    parser.add_argument("--config-dir", metavar="DIR", help="one more folder of YAML files, as for train.py")


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
    def of_train(cls, overrides: Sequence[str], config_dir: str | None = None) -> ProgramConfig:
        """What ``train.py`` makes of the overrides."""
        composer = Composer("train", CONF_DIR, config_dir, once=True, begin=values_of_earlier_run)
        return cls(composer, with_implied(Words.typed(overrides, TrainConfig)))

    @classmethod
    def of(cls, program: Application, overrides: Sequence[str], config_dir: str | None = None) -> ProgramConfig:
        """What any program makes of the overrides."""
        words = Words.typed(overrides, program.config_class or TrainConfig)
        return cls(program.composer(config_dir), with_implied(words))

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
