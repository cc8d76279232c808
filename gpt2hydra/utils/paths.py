"""Paths as a user reads and types them. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def user_path(text: str | Path) -> Path:
    """The path that a user typed, with ``~`` expanded. ``~name`` is unchanged if there is no such user."""
    return Path(os.path.expanduser(text))


def relative_path(path: Path) -> str:
    """``path`` as typed in the current directory: relative if it is below it, otherwise absolute."""
    absolute, current = path.absolute(), Path.cwd()
    return str(absolute.relative_to(current) if absolute.is_relative_to(current) else absolute)


def walk(folder: str | Path) -> Iterator[tuple[str, list[str]]]:
    """Yield ``(folder, names of its files)`` for a folder and those below it, sorted; links are followed."""
    seen = set()
    for each, below, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(each)
        if real in seen:  # a link to a folder above
            below.clear()
            continue
        seen.add(real)
        below.sort()
        yield each, sorted(names)


def nearest_existing(path: Path) -> Path:
    """``path``, or the nearest folder above it that exists.

    Raises:
        OSError: a name is too long, or a folder may not be read.
    """
    path = path.absolute()
    return next(each for each in (path, *path.parents) if each.exists())
