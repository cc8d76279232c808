"""Trains, in children of this process that are killed: ``python -m tools.killed FOLDER KILLS SEED``.

The children are forked after all imports, so a run takes a second. Half of them are killed at a random
moment, half while a checkpoint is written. Each continues where the one before was killed; the last is left
in peace.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from gpt2hydra.training.run import train
from tests.training.tiny import tiny

STEPS = 24
CONFIG = tiny(
    *(f"training.max_steps={STEPS}", "training.eval_interval=3", "training.log_interval=1", "training.sample_tokens=0"),
    *("model.n_embd=32", "model.n_layer=2"),
)


def start(folder: Path) -> int:
    """A child that trains in ``folder``, and continues with what is there."""
    child = os.fork()
    if child:
        return child
    nowhere = os.open(os.devnull, os.O_WRONLY)
    reported = os.dup(2)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        train(CONFIG, folder, resume_from=folder if (folder / "run.json").exists() else None)
    except BaseException as error:
        os.write(reported, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)
    os._exit(0)


def finish(folder: Path) -> None:
    """Train in ``folder`` to the end."""
    _, status = os.waitpid(start(folder), 0)
    assert status == 0, status


def ended(child: int) -> bool:
    """Whether the child has come to its end, which must be a good one."""
    pid, status = os.waitpid(child, os.WNOHANG)
    assert not pid or status == 0, status
    return bool(pid)


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def killed_at_random(folder: Path, seconds: float) -> bool:
    """Whether a child was killed after so many seconds; False if it was done before."""
    child, until = start(folder), time.monotonic() + seconds
    while time.monotonic() < until:
        if ended(child):
            return False
        time.sleep(0.001)
    kill(child)
    return True


def killed_while_saving(folder: Path, saves: int) -> bool:
    """Whether a child was killed while it wrote its checkpoint number ``saves``; False if it was done before."""
    child, seen = start(folder), set[str]()
    while len(seen) < saves:
        if ended(child):
            return False
        seen |= {path.name for path in folder.glob("checkpoints/.step-*-unfinished")}
    kill(child)
    return True


def main(folder: Path, kills: int, seed: int) -> None:
    """Say ``killed`` for each kill; a run that came to its end before its kill is followed by another."""
    began = time.monotonic()
    finish(folder / "whole")
    whole = time.monotonic() - began
    dice, run, done = random.Random(seed), 0, 0
    while done < kills:
        where = folder / f"killed-{run}"
        cut = killed_while_saving(where, dice.randint(1, 3)) if done % 2 else killed_at_random(where, dice.uniform(0, whole))
        if cut:
            done += 1
            print("killed", flush=True)
        else:
            run += 1
    finish(folder / f"killed-{run}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
