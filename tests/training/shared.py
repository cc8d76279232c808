"""A tiny run without dropout, for processes that share it."""

import os
import signal
from pathlib import Path

from gpt2hydra.launch.handle_errors import handle_errors
from gpt2hydra.training.run import train
from tests.training.tiny import WITHOUT_DROPOUT, tiny

tiny()  # a process that is forked later finds Hydra ready


def main(folder: Path, how: str, *overrides: str) -> None:
    """Args: how: ``new``, ``resume``, or ``different``: each process has a seed of its own."""
    if os.environ.get("RANK") == os.environ.get("DYING_RANK", "none"):
        signal.setitimer(signal.ITIMER_REAL, 0.5)  # SIGALRM, which nobody handles
    seed = [f"training.seed={os.environ['RANK']}"] if how == "different" else []
    with handle_errors():
        config = tiny(*WITHOUT_DROPOUT, *overrides, *seed)
        train(config, folder, resume_from=folder if how == "resume" else None)
