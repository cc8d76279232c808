"""What ``python train.py`` calls first. From here on, a signal ends the program with a sentence.

Standard library only, until a program is imported, which takes a while.
"""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from pathlib import Path

from gpt2hydra.utils.interruption import end_at_once, exit_code, ignore_more

REQUIRED = ("hydra", "omegaconf", "yaml")
"""Modules that every program needs."""


def train() -> None:
    """``train.py``."""
    start("train")


def generate() -> None:
    """``generate.py``."""
    start("generate")


def start(program: str) -> None:
    """Run a program of :mod:`gpt2hydra.launch.programs`; exit with 1 where what it needs is not installed."""
    end_at_once()
    try:
        programs = import_module("gpt2hydra.launch.programs")
    except ModuleNotFoundError as error:
        if error.name not in REQUIRED:
            raise
        sys.exit(_not_installed(error.name))
    try:
        getattr(programs, program)()
    except SystemExit as end:
        if end.code == exit_code(signal.SIGINT):
            ignore_more()
        raise


def _not_installed(module: str) -> str:
    from gpt2hydra.launch.extras import install_command  # of this mistake alone

    activate = ". .venv/bin/activate"
    if not Path(".venv/bin/activate").is_file():
        activate = f"python3 -m venv .venv && {activate} && {install_command('train')}"
    return f"{module} is not installed for {sys.executable}; is the virtual environment active?\n  try: {activate}"
