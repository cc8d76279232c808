"""What a program does with a refusal, an interruption, and an output that nobody takes."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from gpt2hydra.config.errors import ConfigError


@contextmanager
def program() -> Iterator[None]:
    """Around everything that a command does: a refusal is printed and exits with 1, an interruption exits with 130.

    A reader that has seen enough (``| head``) ends it quietly, a full disk behind standard output with a word, and what
    the output's encoding lacks is written as its code.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except ConfigError as error:
        refuse(error)
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        sys.exit(130)
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        if error.errno == errno.ENOSPC:
            sys.stderr.write("standard output: no space left on the device\n")
        sys.exit(0 if error.errno == errno.EPIPE else 1)


def refuse(error: ConfigError) -> NoReturn:
    """Print the report and exit with 1. ``HYDRA_FULL_ERROR=1`` raises the error instead."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        raise error
    sys.stderr.write(f"{error}\n")
    sys.exit(1)
