"""Whether progress is shown. What is quiet is so in an environment variable, which jobs in other processes inherit."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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
