"""How a program ends: after a ConfigError, a signal, or an error of its output.

A ConfigError is reported on standard error. With ``GPT2HYDRA_ERRORS=json`` in the environment the report is
one line of JSON (:meth:`gpt2hydra.config.errors.ConfigError.to_dict`), for CI and editors.
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
from gpt2hydra.utils.interruption import Terminated, exit_code, format_interruption, raising_on_signal


@contextmanager
def handle_errors() -> Iterator[None]:
    """Context manager: report a ConfigError and exit with 1; after a signal exit with 130 or 143.

    - A closed pipe (``| head``) ends the program without a message; the exit code is 0.
    - A full disk under standard output ends it with a message; the exit code is 1.
    - A character that the output's encoding lacks is written as an escape sequence.
    - If an output is closed (``>&-``), nothing is written to it.
    """
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="backslashreplace")
    try:
        with raising_on_signal():
            _check_current_folder()
            yield
        sys.stdout.flush()
    except ConfigError as error:
        refuse(error)
    except Interrupted as stop:  # the run has printed its last step
        sys.exit(stop.exit_code)
    except KeyboardInterrupt as stop:
        signum = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
        sys.stderr.write(format_interruption(signum))
        sys.exit(exit_code(signum))
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter prints an error when it exits
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
    text = error.format("nothing was started") if type(error) is ConfigError else str(error)
    write_report(f"{text}\n", error.to_dict())
    sys.exit(1)


def write_report(text: str, data: Mapping[str, Any]) -> None:
    """Write ``text`` on standard error, or ``data`` as a line of JSON with ``GPT2HYDRA_ERRORS=json``."""
    as_json = os.environ.get("GPT2HYDRA_ERRORS") == "json"
    sys.stderr.write(f"{json.dumps(data)}\n" if as_json else text)
