"""Entry points of ``train.py`` and ``generate.py``.

From here on, a signal ends the program with a message, even while modules are imported. Only the standard
library is imported before the program is.
"""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from pathlib import Path

from gpt2hydra.utils.interruption import exit_code, exit_on_signal, ignore_ctrl_c

REQUIRED = ("hydra", "omegaconf", "yaml")
"""Modules that every program needs."""


def train() -> None:
    """``train.py``."""
    start("train")


def generate() -> None:
    """``generate.py``."""
    start("generate")


def start(program: str) -> None:
    """Run a program of :mod:`gpt2hydra.launch.programs`; exit with 1 if a module is not installed."""
    exit_on_signal()
    try:
        programs = import_module("gpt2hydra.launch.programs")
    except ModuleNotFoundError as error:
        if error.name not in REQUIRED:
            raise
        sys.exit(_not_installed_message(error.name))
    try:
        getattr(programs, program)()
    except SystemExit as end:
        if end.code == exit_code(signal.SIGINT):
            ignore_ctrl_c()
        raise


def _not_installed_message(module: str) -> str:
    from gpt2hydra.launch.extras import install_command  # needed only for this message

    activate = ". .venv/bin/activate"
    if not Path(".venv/bin/activate").is_file():
        activate = f"python3 -m venv .venv && {activate} && {install_command('train')}"
    return f"{module} is not installed for {sys.executable}; is the virtual environment active?\n  try: {activate}"
