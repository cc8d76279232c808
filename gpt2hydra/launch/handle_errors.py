"""How a program ends: with a refusal, an interruption, or an output that nobody reads any more.

A refusal is a report for people on standard error. With ``GPT2HYDRA_ERRORS=json`` in the environment it is
one line of JSON there (:meth:`gpt2hydra.config.errors.ConfigError.to_dict`), for CI and editors.
"""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from gpt2hydra.config.errors import ABSENT, ConfigError, Violation
from gpt2hydra.training.signals import Interrupted
from gpt2hydra.utils.interruption import Terminated, exit_code, format_interruption, raising


@contextmanager
def handle_errors() -> Iterator[None]:
    """Around all that a command does: a refusal is printed and exits with 1, an interruption with 130 or 143.

    A reader that has seen enough (``| head``) ends it quietly, a full disk behind standard output with a
    message, what the output's encoding lacks is written as its code, and where an output is closed (``>&-``),
    nothing is written.
    """
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="backslashreplace")
    try:
        with raising():
            _check_current_folder()
            yield
        sys.stdout.flush()
    except ConfigError as error:
        refuse(error)
    except Interrupted as stop:  # a run has reported how far it came
        sys.exit(stop.exit_code)
    except KeyboardInterrupt as stop:
        signum = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
        sys.stderr.write(format_interruption(signum))
        sys.exit(exit_code(signum))
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        if error.errno == errno.ENOSPC:
            sys.stderr.write("standard output: no space left on the device\n")
        sys.exit(0 if error.errno == errno.EPIPE else 1)


def _check_current_folder() -> None:
    try:
        os.getcwd()
    except FileNotFoundError:
        violation = Violation(
            "PWD", os.environ.get("PWD", ABSENT), "is the current folder, which no longer exists; change to another"
        )
        raise ConfigError([violation], "the environment") from None


def refuse(error: ConfigError) -> NoReturn:
    """Print the report and exit with 1. ``HYDRA_FULL_ERROR=1`` raises the error instead."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        raise error
    words = error.format("nothing was started") if type(error) is ConfigError else str(error)
    report_line(f"{words}\n", error.to_dict())
    sys.exit(1)


def report_line(words: str, facts: Mapping[str, Any]) -> None:
    """Write ``words`` on standard error, or ``facts`` as a line of JSON with ``GPT2HYDRA_ERRORS=json``."""
    as_json = os.environ.get("GPT2HYDRA_ERRORS") == "json"
    sys.stderr.write(f"{json.dumps(facts)}\n" if as_json else words)
