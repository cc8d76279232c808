"""The lock of a run directory, which one process holds until it ends. Standard library only."""

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

LOCK_FILE = ".lock"
"""The file stays after the run; only the lock on it shows that a run is active."""

RETRY_SECONDS = 0.5
"""The lock is tried again for this time, because a reader may hold it for a moment."""


class Locked(Exception):
    """Another process runs in this directory. ``str()`` is its description."""


@contextlib.contextmanager
def hold_lock(folder: Path) -> Iterator[None]:
    """Context manager: hold the lock of a run directory.

    Raises:
        Locked: another process holds it.
        OSError: the file cannot be created.
    """
    with (folder / LOCK_FILE).open("a+", encoding="utf-8") as file:
        _acquire(file.fileno(), folder)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def find_lock_holder(folder: Path) -> str | None:
    """Return a description of the process that runs in this directory, or None."""
    try:
        with (folder / LOCK_FILE).open(encoding="utf-8") as file:
            if fcntl is None:
                return None
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read(200).strip() or "another process"
    except OSError:  # no such file; a file system without locks
        pass
    return None


def _acquire(descriptor: int, folder: Path) -> None:
    if fcntl is None:
        return
    deadline = time.monotonic() + RETRY_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Locked(find_lock_holder(folder) or "another process") from None
            time.sleep(0.02)
        except OSError:  # a file system without locks
            return
