"""What a run does when it is told to stop: it finishes the step and saves. Standard library only."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name))
"""Ctrl-C; ``kill``, and Slurm at the end of a job; a terminal that closes; Slurm's warning (``--signal=USR1@120``)."""

ECHO = 1.0
"""Seconds within which torchrun hands a Ctrl-C on that the terminal has sent already: not a second one."""


class Interrupted(KeyboardInterrupt):
    """A run was told to stop, and saved. What is to be said has been said."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """As a shell gives it: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.signum


class Signals:
    """Within, a signal is only noted, in :attr:`told`; a second Ctrl-C ends the process at once."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Args: quiet: another process tells."""
        self.told: int | None = None
        self.quiet = quiet
        self._before: dict[int, Any] = {}
        self._when = 0.0

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():  # only there can they be caught
            self._before = {each: signal.signal(each, self._note) for each in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _note(self, signum: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self.told is None:
            self.told, self._when = signum, now
            if not self.quiet:
                name = "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name
                again = "; Ctrl-C again ends at once" if signum == signal.SIGINT else ""
                os.write(2, f"\n{name}: finishing the step, then saving{again}\n".encode())  # print() may be at work
        elif signum == signal.SIGINT and not ("TORCHELASTIC_RUN_ID" in os.environ and now - self._when < ECHO):
            os._exit(128 + signum)
