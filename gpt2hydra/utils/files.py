"""Write files that appear complete or not at all. Standard library only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_file(file: Path, *, durable: bool = False) -> Iterator[Path]:
    """Context manager: a hidden path to write, renamed to ``file`` at the end. After an error it is removed.

    Args:
        durable: the content is on the disk before the rename, so that after a power failure the file is the
            old one or the new one.

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
    """Wait until a file or a folder is on the disk. Does nothing for a folder if the system cannot do it."""
    if os.name != "posix" and path.is_dir():  # other systems cannot open folders
        return
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        with contextlib.suppress(OSError) if path.is_dir() else contextlib.nullcontext():  # not every file system supports it
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
