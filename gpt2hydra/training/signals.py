"""What a run does when it gets a signal: it finishes the step and saves. Standard library only."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name))
"""Ctrl-C; ``kill`` and Slurm; a terminal that closes; Slurm's warning (``--signal=USR1@120``)."""

ECHO = 1.0
"""Seconds within which torchrun passes on a Ctrl-C that the terminal has sent already: not a second one."""

TIME_LIMIT = 1 << 16
"""In place of a signal's number: ``training.max_hours`` have passed."""


class Interrupted(KeyboardInterrupt):
    """A signal ended the run. The reason has been printed."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """As a shell gives it: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.signum


class StopRequested(Interrupted):
    """A signal, or :data:`TIME_LIMIT`, stops the run. Every process knows it, and the run is saved."""


class Signals:
    """Within, a signal ends the run at once; after :meth:`defer` it is only noted, in :attr:`received`.

    A second Ctrl-C ends the process at once.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        """Args: quiet: another process prints."""
        self.received: int | None = None
        self.quiet = quiet
        self._deferred = False
        self._before: dict[int, Any] = {}
        self._when = 0.0

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():  # only there can they be caught
            self._before = {each: signal.signal(each, self._handle) for each in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def defer(self) -> None:
        """From now on there is something to save: whoever trains looks at :attr:`received`."""
        self._deferred = True

    def _handle(self, signum: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._when = signum, now
            if not self._deferred:
                self._print(signum, "stopped before the first step; there is nothing to save")
                raise Interrupted(signum)
            again = "; Ctrl-C again ends at once" if signum == signal.SIGINT else ""
            self._print(signum, f"finishing the step, then saving{again}")
        elif signum == signal.SIGINT and not ("TORCHELASTIC_RUN_ID" in os.environ and now - self._when < ECHO):
            os._exit(128 + signum)

    def _print(self, signum: int, what: str) -> None:
        if not self.quiet:
            name = "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name
            os.write(2, f"\n{name}: {what}\n".encode())  # print() may be at work
