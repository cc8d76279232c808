"""A process of several that hangs."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

from gpt2hydra.runs import record
from tests.processes import ranks, torchrun, wait_for_checkpoint
from tests.training import shared

TIMEOUT = 5.0


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP") or not Path("/proc").is_dir(), reason="needs SIGSTOP and /proc")
def test_a_process_that_hangs_is_named_and_the_run_ends(tmp_path: Path) -> None:
    run = tmp_path / "run"
    endless = ("training.max_steps=1000000", f"training.stall_timeout={TIMEOUT}", "training.sample_tokens=0")
    torchrun_of_two = torchrun(shared.main, run, "new", *endless)
    wait_for_checkpoint(run, torchrun_of_two)
    while "\n10," not in (run / "loss.csv").read_text():  # all processes know of the checkpoint
        time.sleep(0.05)
    waits, hangs = ranks(torchrun_of_two)
    os.kill(hangs, signal.SIGSTOP)
    began = time.monotonic()
    while Path(f"/proc/{waits}").exists():
        time.sleep(0.05)
    os.kill(hangs, signal.SIGKILL)  # torchrun would wait for half a minute
    done = torchrun_of_two.wait()
    assert (done.returncode, time.monotonic() - began > TIMEOUT) == (1, True)
    err = done.stderr
    told = (
        r"training\.stall_timeout = 5\.0\n  seconds passed without an answer from process 1 of 2; .* is in .*\n  try: resume="
    )
    assert re.search(told, err), err
    reported = record.read(run)
    assert reported.state == record.FAILED and "process 1 of 2" in reported.content["reason"]
    log = (run / "train.log").read_text()
    assert "Timeout (" in log and "trainer.py" in log and "The stack above is that of process 0" in log
