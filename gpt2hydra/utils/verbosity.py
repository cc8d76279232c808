"""Whether progress is shown. What is quiet is so in an environment variable, which jobs in other processes inherit."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")

QUIET = "GPT2HYDRA_QUIET"
"""``1``: no progress and no notes on standard error; warnings, errors and results are printed."""


def is_quiet() -> bool:
    """Whether progress and notes are left out."""
    return os.environ.get(QUIET) == "1"


def shows_progress() -> bool:
    """Whether a bar may be drawn: on a terminal."""
    return not is_quiet() and sys.stderr.isatty()


def note(text: str) -> None:
    """Print a line on standard error, unless this is quiet."""
    if not is_quiet():
        print(text, file=sys.stderr, flush=True)


def with_counter(items: Sequence[Item], what: str, least: int = 200) -> Iterator[Item]:
    """The items. While they are worked on, a terminal shows how many are done, where there are at least so many."""
    if len(items) < least or not shows_progress():
        yield from items
        return
    interval = -(-len(items) // 100)
    try:
        for number, item in enumerate(items):
            if number % interval == 0:
                sys.stderr.write(f"\r{what} {number + 1:,} of {len(items):,}")
                sys.stderr.flush()
            yield item
    finally:
        sys.stderr.write("\r\x1b[K")  # erases the line
        sys.stderr.flush()


@contextmanager
def quiet() -> Iterator[None]:
    """Within, this is quiet."""
    before = os.environ.get(QUIET)
    os.environ[QUIET] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[QUIET]
        else:
            os.environ[QUIET] = before
