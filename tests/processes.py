"""Processes that tests start, look for and wait for.

They are forked from one that has imported PyTorch, so that each begins in milliseconds instead of seconds.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.checkpoint.run_checkpoints import CheckpointInfo
from gpt2hydra.config.gpt2 import CONF_DIR

IMPORTED = ["tests.training.shared", "torch.distributed.launcher.api", "matplotlib.backends.backend_agg", "matplotlib.figure"]


@cache
def _forkserver() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    return context


class Forked:
    """``function(*arguments)`` in a process of its own. What it prints is kept in files."""

    def __init__(self, function: Callable[..., object], *arguments: Any, **environment: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.process = _forkserver().Process(target=_call, args=(function, arguments, environment, self.folder.name))
        self.process.start()

    @property
    def pid(self) -> int:
        return self.process.pid  # type: ignore[no-any-return]

    @property
    def stderr(self) -> str:
        """What it has printed so far."""
        file = Path(self.folder.name, "stderr")
        return file.read_text() if file.exists() else ""

    def is_running(self) -> bool:
        return self.process.exitcode is None

    def wait(self, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        """What it printed, and its exit code; negative where a signal killed it."""
        self.process.join(timeout)
        assert not self.is_running(), f"it still runs; it has printed:\n{self.stderr}"
        out = Path(self.folder.name, "stdout").read_text()
        done = subprocess.CompletedProcess(self.process.name, self.process.exitcode, out, self.stderr)
        self.folder.cleanup()
        return done


def run_script(file: str | Path, *arguments: str) -> None:
    """``python FILE ...`` in this process; ``file`` is one of this repository unless it is absolute."""
    sys.argv = [str(file), *arguments]
    runpy.run_path(str(CONF_DIR.parent / file), run_name="__main__")


def _call(function: Callable[..., object], arguments: tuple[Any, ...], environment: Mapping[str, str], folder: str) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    os.environ.update(environment)
    function(*arguments)


def torchrun(function: Callable[..., object], *arguments: Any, processes: int = 2, **environment: str) -> Forked:
    """``function(*arguments)`` in several processes, started and watched by torchrun's own agent, in another process."""
    return Forked(_agent, processes, function, arguments, **environment)


def _agent(processes: int, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    rendezvous: dict[str, Any] = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}  # as `torchrun --standalone`
    elastic_launch(LaunchConfig(1, 1, processes, max_restarts=0, start_method="fork", **rendezvous), function)(*arguments)


def ranks(agent: Forked) -> list[int]:
    """The processes that torchrun's agent has started, in the order of their ranks."""
    found = [task.read_text().split() for task in Path(f"/proc/{agent.pid}/task").glob("*/children")]
    return sorted(int(child) for children in found for child in children)


def wait_for_checkpoint(run: Path, process: Forked) -> CheckpointInfo:
    """The first checkpoint of a run, once there is one."""
    while (newest := run_checkpoints.find_newest(run)) is None:
        assert process.is_running(), f"it ended by itself; it had printed:\n{process.stderr}"
        time.sleep(0.05)
    return newest
