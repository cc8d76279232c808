"""A run that is asked to stop."""

import os
import signal
import subprocess
import sys
import time

import pytest

from gpt2hydra.training.signals import SIGNALS, Interrupted, Signals


@pytest.mark.parametrize("signum", SIGNALS, ids=lambda signum: signum.name)
def test_a_signal_is_noted_and_the_work_continues(signum: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signum)
    with Signals() as signals:
        signals.defer()
        assert signals.received is None
        os.kill(os.getpid(), signum)
        assert signals.received == signum
    assert signal.getsignal(signum) == before
    name = "Ctrl-C" if signum == signal.SIGINT else signum.name
    assert capfd.readouterr().err.startswith(f"\n{name}: finishing the step, then saving")


def test_a_process_that_does_not_print_stops_silently(capfd: pytest.CaptureFixture[str]) -> None:
    with Signals(quiet=True) as signals:
        signals.defer()
        os.kill(os.getpid(), signal.SIGTERM)
    assert (signals.received, capfd.readouterr().err) == (signal.SIGTERM, "")


@pytest.mark.parametrize("signum", SIGNALS, ids=lambda signum: signum.name)
def test_before_there_is_something_to_save_a_signal_ends_the_run_at_once(
    signum: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Interrupted) as stopped, Signals():
        os.kill(os.getpid(), signum)
        time.sleep(10)
    name = "Ctrl-C" if signum == signal.SIGINT else signum.name
    assert capfd.readouterr().err == f"\n{name}: stopped before the first step; there is nothing to save\n"
    assert stopped.value.exit_code == 128 + signum


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_exit_code_is_the_shells(signum: signal.Signals, code: int) -> None:
    assert Interrupted(signum).exit_code == code
    assert isinstance(Interrupted(signum), KeyboardInterrupt)


WAITS = """
import time
from gpt2hydra.training.signals import Signals
with Signals() as signals:
    signals.defer()
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
