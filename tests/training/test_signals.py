"""A run that is told to stop."""

import os
import signal
import subprocess
import sys
import time

import pytest

from gpt2hydra.training.signals import SIGNALS, Interrupted, Signals


@pytest.mark.parametrize("signum", SIGNALS, ids=lambda signum: signum.name)
def test_a_signal_is_noted_and_the_work_goes_on(signum: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signum)
    with Signals() as signals:
        assert signals.told is None
        os.kill(os.getpid(), signum)
        assert signals.told == signum
    assert signal.getsignal(signum) == before
    name = "Ctrl-C" if signum == signal.SIGINT else signum.name
    assert capfd.readouterr().err.startswith(f"\n{name}: finishing the step, then saving")


def test_a_process_that_does_not_speak_stops_silently(capfd: pytest.CaptureFixture[str]) -> None:
    with Signals(quiet=True) as signals:
        os.kill(os.getpid(), signal.SIGTERM)
    assert (signals.told, capfd.readouterr().err) == (signal.SIGTERM, "")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_exit_code_is_the_shells(signum: signal.Signals, code: int) -> None:
    assert Interrupted(signum).exit_code == code
    assert isinstance(Interrupted(signum), KeyboardInterrupt)


WAITS = """
import time
from gpt2hydra.training.signals import Signals
with Signals():
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_second_ctrl_c_ends_at_once_without_a_traceback() -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", WAITS], **pipes, text=True) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert [process.stderr.readline() for _ in range(2)][1].startswith("Ctrl-C: finishing the step")
        time.sleep(0.05)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert (process.wait(30), process.stderr.read()) == (130, "")
