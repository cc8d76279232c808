"""One process writes into a run directory: a lock that dies with its process. Standard library only."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where a run is not locked
    fcntl = None  # type: ignore[assignment]

FILE = ".lock"
"""It stays when the run has ended; only the lock on it shows that one is running."""

PATIENCE = 0.5
"""Seconds to try again for: another process may look, for a moment, whether the lock is free."""


class Locked(Exception):
    """Another process runs in this directory. ``str()`` says which."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run directory.

    Raises:
        Locked: another process holds it.
        OSError: the file cannot be made.
    """
    with (folder / FILE).open("a+", encoding="utf-8") as file:
        _lock(file.fileno(), folder)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def holder(folder: Path) -> str | None:
    """The process that runs in this directory, in words, or None."""
    try:
        with (folder / FILE).open(encoding="utf-8") as file:
            if fcntl is None:
                return None
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read(200).strip() or "another process"
    except OSError:  # no such file; a file system without locks
        pass
    return None


def _lock(descriptor: int, folder: Path) -> None:
    if fcntl is None:
        return
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Locked(holder(folder) or "another process") from None
            time.sleep(0.02)
        except OSError:  # a file system without locks
            return
