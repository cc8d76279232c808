"""A process of several that hangs."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.runs import record
from tests.processes import children, wait_for_checkpoint

TIMEOUT = 5.0


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP") or not Path("/proc").is_dir(), reason="needs SIGSTOP and /proc")
def test_a_process_that_hangs_is_named_and_the_run_ends(tmp_path: Path) -> None:
    run = tmp_path / "run"
    endless = ("training.max_steps=1000000", f"training.stall_timeout={TIMEOUT}", "training.sample_tokens=0")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "tests.training.shared", str(run), "new", *endless]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=CONF_DIR.parent, env=environment, stderr=subprocess.PIPE, text=True) as torchrun:
        wait_for_checkpoint(run, torchrun)
        ranks = children(torchrun.pid)
        os.kill(ranks[1], signal.SIGSTOP)
        began = time.monotonic()
        _, err = torchrun.communicate(timeout=180)
    assert torchrun.returncode == 1
    assert time.monotonic() - began > TIMEOUT
    assert re.search(r"training\.stall_timeout = 5\.0\n  passed without a word from process 1 of 2 in the step after", err), err
    told = record.read(run)
    assert told.state == record.FAILED and "process 1 of 2" in told.content["reason"]
    log = (run / "train.log").read_text()
    assert "Timeout (" in log and "trainer.py" in log and "The stack above is that of process 0" in log
