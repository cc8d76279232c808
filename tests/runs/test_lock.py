"""The lock of a run directory: one process at a time, and it dies with its process."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpt2hydra.runs.lock import LOCK_FILE, Locked, find_lock_holder, hold_lock

HOLD = """
import sys, time
from pathlib import Path
from gpt2hydra.runs.lock import hold_lock
with hold_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def another(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock of ``tmp_path``."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_directory_that_nobody_runs_in_has_no_holder(tmp_path: Path) -> None:
    assert find_lock_holder(tmp_path) is None
    with hold_lock(tmp_path):
        pass
    assert find_lock_holder(tmp_path) is None and (tmp_path / LOCK_FILE).exists()


def test_another_process_is_named_and_its_lock_dies_with_it(tmp_path: Path, another: "subprocess.Popen[str]") -> None:
    message = find_lock_holder(tmp_path)
    assert message is not None and message.startswith(f"process {another.pid} on ")
    with pytest.raises(Locked, match=message), hold_lock(tmp_path):
        pytest.fail("two processes hold one lock")
    another.send_signal(signal.SIGKILL)
    another.wait()
    assert find_lock_holder(tmp_path) is None
    with hold_lock(tmp_path):
        assert (tmp_path / LOCK_FILE).read_text().startswith(f"process {os.getpid()} on ")


def test_who_only_looks_stops_nobody(tmp_path: Path) -> None:
    with hold_lock(tmp_path):
        pass
    looking = multiprocessing.get_context("spawn").Process(target=_look_often, args=(tmp_path,))
    looking.start()
    try:
        for _ in range(200):
            with hold_lock(tmp_path):
                pass
    finally:
        looking.kill()
        looking.join()


def _look_often(folder: Path) -> None:
    while True:
        find_lock_holder(folder)
