"""A tiny run without dropout, for torchrun to start: ``... -m tests.training.shared FOLDER new|resume [OVERRIDE ...]``."""

import os
import signal
import sys
from pathlib import Path

from gpt2hydra.launch.handle_errors import handle_errors
from gpt2hydra.training.run import train
from tests.training.tiny import WITHOUT_DROPOUT, tiny

if __name__ == "__main__":
    folder, how, *overrides = sys.argv[1:]
    if os.environ.get("RANK") == os.environ.get("DYING_RANK", "none"):
        signal.setitimer(signal.ITIMER_REAL, 0.5)  # SIGALRM, which nobody handles
    seed = f"training.seed={os.environ['RANK']}" if how == "different" else ""
    with handle_errors():
        config = tiny(*WITHOUT_DROPOUT, *overrides, *filter(None, [seed]))
        train(config, Path(folder), resume_from=Path(folder) if how == "resume" else None)
