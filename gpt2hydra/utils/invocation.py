"""How this program was started, and what is typed to start it, or another of ours, once more. Standard library only.

``python train.py``, ``python -m my_package.finetune``, ``gpt2hydra-train``,
``torchrun --nproc-per-node 2 train.py``.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from gpt2hydra.utils.paths import relative_path
from gpt2hydra.utils.quoting import for_bash

PROGRAMS = ("train", "generate")
"""Ours: a script in the checkout, a command ``gpt2hydra-...`` where the package is installed."""


@dataclass(frozen=True)
class Program:
    """A program as a shell names it: a script or ``-m module`` for Python, or a command."""

    target: str
    is_python: bool

    def command(self) -> str:
        """What starts one process of it."""
        return f"{Path(sys.executable).name} {self.target}" if self.is_python else self.target

    def torchrun(self, options: str) -> str:
        """What starts several, with these options of torchrun."""
        return f"torchrun {options} {'' if self.is_python else '--no-python '}{self.target}"

    def as_started(self) -> str:
        """What starts it in as many processes as share this run: with torchrun or without."""
        here, nodes = os.environ.get("LOCAL_WORLD_SIZE", "1"), os.environ.get("GROUP_WORLD_SIZE", "1")
        if "TORCHELASTIC_RUN_ID" not in os.environ or (here, nodes) == ("1", "1"):
            return self.command()
        of_node = f"--nnodes {nodes} ... " if nodes != "1" else ""  # each node has its own, and all an address
        return self.torchrun(f"{of_node}--nproc-per-node {here}")


def this_program() -> Program:
    """The program of this process."""
    file, spec = sys.argv[0], getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.origin == file:
        return Program(f"-m {spec.name.removesuffix('.__main__')}", is_python=True)
    return (
        Program(for_bash(file), is_python=True) if file.endswith(".py") else Program(for_bash(Path(file).name), is_python=False)
    )


def our_program(name: str) -> Program:
    """One of :data:`PROGRAMS`: the script next to ours that was started, or in the checkout that is the current directory."""
    started, checkout = Path(sys.argv[0]), Path(__file__).parents[2]
    by_script = started.name in [f"{each}.py" for each in PROGRAMS]
    script = (started.parent if by_script else Path()) / f"{name}.py"
    if script.is_file() and (by_script or Path().samefile(checkout)):
        return Program(for_bash(relative_path(script)), is_python=True)
    return Program(f"gpt2hydra-{name}", is_python=False)


def torchrun(processes: int | str) -> str:
    """This program with what it was given, in as many processes of one machine."""
    return " ".join([this_program().torchrun(f"--nproc-per-node {processes}"), *map(for_bash, sys.argv[1:])])
