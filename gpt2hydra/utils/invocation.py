"""How this program was started, and commands that start it again or another of ours. Standard library only.

Examples: ``python train.py``, ``python -m my_package.finetune``, ``gpt2hydra-train``,
``torchrun --nproc-per-node 2 train.py``.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from gpt2hydra.utils.paths import relative_path
from gpt2hydra.utils.quoting import quote_for_bash

PROGRAMS = ("train", "generate")
"""Our programs: a script in the checkout, a command ``gpt2hydra-...`` if the package is installed."""


@dataclass(frozen=True)
class Program:
    """A program as a shell names it: a script or ``-m module`` for Python, or a command."""

    target: str
    is_python: bool

    def command(self) -> str:
        """The command that starts one process of it."""
        return f"{Path(sys.executable).name} {self.target}" if self.is_python else self.target

    def torchrun_command(self, options: str) -> str:
        """The command that starts several processes, with these options of torchrun."""
        return f"torchrun {options} {'' if self.is_python else '--no-python '}{self.target}"

    def current_command(self) -> str:
        """The command that starts as many processes as this run has: with torchrun or without."""
        processes_per_node, nodes = os.environ.get("LOCAL_WORLD_SIZE", "1"), os.environ.get("GROUP_WORLD_SIZE", "1")
        if "TORCHELASTIC_RUN_ID" not in os.environ or (processes_per_node, nodes) == ("1", "1"):
            return self.command()
        of_node = (
            f"--nnodes {nodes} ... " if nodes != "1" else ""
        )  # "...": --node-rank, which differs per node, and --rdzv-endpoint
        return self.torchrun_command(f"{of_node}--nproc-per-node {processes_per_node}")


def this_program() -> Program:
    """The program of this process."""
    file, spec = sys.argv[0], getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.origin == file:
        return Program(f"-m {spec.name.removesuffix('.__main__')}", is_python=True)
    return (
        Program(quote_for_bash(file), is_python=True)
        if file.endswith(".py")
        else Program(quote_for_bash(Path(file).name), is_python=False)
    )


def find_program(name: str) -> Program:
    """One of :data:`PROGRAMS`: the script next to the started one, or in the checkout, if that is current."""
    started, checkout = Path(sys.argv[0]), Path(__file__).parents[2]
    by_script = started.name in [f"{each}.py" for each in PROGRAMS]
    script = (started.parent if by_script else Path()) / f"{name}.py"
    if script.is_file() and (by_script or Path().samefile(checkout)):
        return Program(quote_for_bash(relative_path(script)), is_python=True)
    return Program(f"gpt2hydra-{name}", is_python=False)


def torchrun_command(processes: int | str) -> str:
    """The command that starts this program with its arguments in several processes on one machine."""
    return " ".join([this_program().torchrun_command(f"--nproc-per-node {processes}"), *map(quote_for_bash, sys.argv[1:])])
