"""Ctrl-C and SIGTERM where there is nothing to save."""

import os
import signal
import subprocess
import sys
from threading import Thread

import pytest

from gpt2hydra.utils.interruption import SIGNALS, Terminated, exiting_on_signal, raising_on_signal


def test_a_signal_is_an_exception_within() -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    with pytest.raises(Terminated), raising_on_signal():
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), raising_on_signal():
        os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(each) for each in SIGNALS] == before


@pytest.mark.parametrize(("rank", "printed"), [("0", "\nInterrupted by SIGTERM.\n"), ("1", "")])
def test_the_first_process_prints_for_all(rank: str, printed: str) -> None:
    script = (
        "import os; from gpt2hydra.utils.interruption import exit_on_signal; exit_on_signal(); os.kill(os.getpid(), 15); 1 + 1"
    )
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "RANK": rank}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (143, printed)


def test_in_another_thread_signals_stay_as_they_are() -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    seen: list[object] = []

    def look() -> None:
        with exiting_on_signal():
            seen.extend(signal.getsignal(each) for each in SIGNALS)

    thread = Thread(target=look)
    thread.start()
    thread.join()
    assert seen == before
