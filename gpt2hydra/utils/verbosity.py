"""Quiet mode, set by an environment variable, so that jobs in other processes inherit it."""

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
    """Whether a progress bar is shown: on a terminal, and not in quiet mode."""
    return not is_quiet() and sys.stderr.isatty()


def print_note(text: str) -> None:
    """Print a line on standard error, unless in quiet mode."""
    if not is_quiet():
        print(text, file=sys.stderr, flush=True)


def show_counter(items: Sequence[Item], what: str, least: int = 200) -> Iterator[Item]:
    """Yield the items; on a terminal, show how many are done, if there are at least ``least``."""
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
    """Context manager: quiet mode."""
    before = os.environ.get(QUIET)
    os.environ[QUIET] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[QUIET]
        else:
            os.environ[QUIET] = before
