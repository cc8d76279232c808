"""The conf tree that a command is to look at: ours, any folder, or that of a program of one's own."""

from __future__ import annotations

import argparse
from pathlib import Path

from gpt2hydra.composition.conf_tree import ConfTree
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.launch.application import application_at


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--app`` and ``--config-dir``."""
    parser.add_argument(
        "--app",
        action="append",
        default=[],
        metavar="MODULE:FUNCTION",
        help="a program of yours under @gpt2hydra.main: its conf tree and its class; again for each other that shares the tree",
    )
    add_config_dir(parser)


def add_config_dir(parser: argparse.ArgumentParser) -> None:
    """Add ``--config-dir``."""
    parser.add_argument("--config-dir", metavar="DIR", help="one more folder of YAML files, as for train.py")


def tree_of(options: argparse.Namespace, folder: Path | None = None) -> ConfTree:
    """The tree in ``folder``, or of the first program, or ours.

    Raises:
        ConfigError: there is no such program, or the folder is no conf tree.
    """
    programs = [application_at(each) for each in options.app]
    classes = {each.config_name: each.config_class for each in programs if each.config_class is not None}
    own = programs[0].config_dir if programs else CONF_DIR
    return ConfTree(folder or own, classes, options.config_dir)
