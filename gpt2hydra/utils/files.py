"""Files that appear complete or not at all. Standard library only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_file(file: Path, *, durable: bool = False) -> Iterator[Path]:
    """The path of a hidden file to write, which takes the name ``file`` at the end. After an error it is removed.

    Args:
        durable: the content is on the disk before the name is, so that a power failure leaves the old file or
            the new one.

    Raises:
        OSError: the file cannot be written.
    """
    unfinished = file.with_name(f".{file.name}-unfinished")
    try:
        yield unfinished
        if durable:
            fsync(unfinished)
        unfinished.replace(file)
        if durable:
            fsync(file.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def fsync(path: Path) -> None:
    """Wait until a file or a folder is on the disk. Does nothing for a folder where the system cannot do it."""
    if os.name != "posix" and path.is_dir():  # elsewhere folders cannot be opened
        return
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        with contextlib.suppress(OSError) if path.is_dir() else contextlib.nullcontext():  # not every file system can
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
