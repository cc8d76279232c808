"""A tiny run without dropout, for processes that share it."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpt2hydra.launch.handle_errors import handle_errors
from gpt2hydra.training.run import train
from gpt2hydra.training.trainer import Trainer
from tests.training.tiny import WITHOUT_DROPOUT, tiny

tiny()  # a process that is forked later finds Hydra ready


@contextmanager
def gloo_threads() -> Iterator[None]:
    """Afterwards, print how many threads of gloo are alive, where /proc tells."""
    try:
        yield
    finally:
        names = [file.read_text() for file in Path("/proc/self/task").glob("*/comm")]
        sys.stderr.write(f"threads of gloo: {sum('gloo' in name for name in names)}\n")


def step_and_die(self: Trainer) -> None:
    """In place of a step: the others wait for this process in theirs."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, how: str, *overrides: str) -> None:
    """Args: how: ``new``, ``resume``, or ``different``: each process has a seed of its own."""
    if os.environ.get("RANK") == os.environ.get("DYING_RANK", "none"):
        Trainer.train_step = step_and_die  # type: ignore[method-assign]
    seed = [f"training.seed={os.environ['RANK']}"] if how == "different" else []
    with handle_errors(), gloo_threads():
        config = tiny(*WITHOUT_DROPOUT, *overrides, *seed)
        train(config, folder, resume_from=folder if how == "resume" else None)
