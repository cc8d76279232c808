"""Paths as a user reads and types them. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def user_path(text: str | Path) -> Path:
    """The path that a user typed: ``~`` is the home directory. As in a shell, ``~name`` stays as it is where nobody has it."""
    return Path(os.path.expanduser(text))


def relative_path(path: Path) -> str:
    """``path`` as it is typed in the current directory: relative where it lies below, else absolute."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


def walk(folder: str | Path) -> Iterator[tuple[str, list[str]]]:
    """``(folder, names of its files)`` of a folder and those below, in order; behind links too, but each once."""
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
    """``path`` itself, or of the folders above it the first that exists.

    Raises:
        OSError: a name is too long, or a folder must not be read.
    """
    path = path.absolute()
    return next(each for each in (path, *path.parents) if each.exists())
