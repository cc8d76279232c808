"""Processes that tests start, look for and wait for. Linux."""

import subprocess
import time
from pathlib import Path

from gpt2hydra.checkpoint import run_checkpoints
from gpt2hydra.checkpoint.run_checkpoints import CheckpointInfo


def children(pid: int) -> dict[int, int]:
    """The processes that torchrun started: rank → process."""
    found = {}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            environment = dict(each.partition("=")[::2] for each in Path(f"/proc/{child}/environ").read_text().split("\0"))
            if "RANK" in environment:
                found[int(environment["RANK"])] = child
    return found


def wait_for_checkpoint(run: Path, process: "subprocess.Popen[str]") -> CheckpointInfo:
    """The first checkpoint of a run, once there is one."""
    while (newest := run_checkpoints.newest(run)) is None:
        assert process.poll() is None, "it ended by itself"
        time.sleep(0.05)
    return newest
