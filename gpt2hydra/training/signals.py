"""The signals of a run: it finishes the step and saves. Standard library only."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name))
"""Ctrl-C; ``kill`` and Slurm; a terminal that closes; Slurm's warning (``--signal=USR1@120``)."""

TORCHRUN_ECHO_SECONDS = 1.0
"""A SIGINT within this time of the first is torchrun forwarding the same Ctrl-C, not a second one."""

TIME_LIMIT = 1 << 16
"""Used in place of a signal's number if ``training.max_hours`` have passed."""


class Interrupted(KeyboardInterrupt):
    """A signal ended the run. The reason has been printed."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as in a shell: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.signum


class StopRequested(Interrupted):
    """A signal, or :data:`TIME_LIMIT`, stopped the run in every process, and the run was saved."""


class Signals:
    """Context manager: a signal ends the run; after :meth:`defer`, it is only stored in :attr:`received`.

    A second Ctrl-C ends the process immediately."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Prepare the handlers, which ``with`` installs.

        Args:
            quiet: print nothing, because another process prints.
        """
        self.received: int | None = None
        self.quiet = quiet
        self._deferred = False
        self._previous_handlers: dict[int, Any] = {}
        self._received_at = 0.0

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():  # Python allows handlers only there
            self._previous_handlers = {each: signal.signal(each, self._handle) for each in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._previous_handlers.items():
            signal.signal(each, handler)

    def defer(self) -> None:
        """Only store signals in :attr:`received` from now on. The trainer polls it, saves and stops."""
        self._deferred = True

    def _handle(self, signum: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._received_at = signum, now
            if not self._deferred:
                self._print(signum, "stopped before the first step; there is nothing to save")
                raise Interrupted(signum)
            again = "; Ctrl-C again ends immediately" if signum == signal.SIGINT else ""
            self._print(signum, f"finishing the step, then saving{again}")
        elif signum == signal.SIGINT and not (
            "TORCHELASTIC_RUN_ID" in os.environ and now - self._received_at < TORCHRUN_ECHO_SECONDS
        ):
            os._exit(128 + signum)

    def _print(self, signum: int, what: str) -> None:
        if not self.quiet:
            name = "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name
            os.write(2, f"\n{name}: {what}\n".encode())  # the signal may have interrupted print()
