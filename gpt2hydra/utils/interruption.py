"""Ctrl-C and SIGTERM while there is nothing to save: a sentence and the shell's exit code, no traceback."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM as an exception, as KeyboardInterrupt is for Ctrl-C."""


def format_interruption(signum: int) -> str:
    """``Interrupted by Ctrl-C.``, on a new line after the terminal's ``^C``."""
    return f"\nInterrupted by {'Ctrl-C' if signum == signal.SIGINT else signal.Signals(signum).name}.\n"


def exit_code(signum: int) -> int:
    """The exit code that a shell reports: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + signum


def exit_on_signal() -> None:
    """From now on, a signal ends the process immediately. Nothing is cleaned up."""
    _install_handler(_exit)


def ignore_ctrl_c() -> None:
    """Ignore Ctrl-C from now on, so that it cannot change the exit code while the interpreter exits."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def exiting_on_signal() -> Iterator[None]:
    """Context manager: a signal ends the process immediately. For imports, which may replace exceptions."""
    with _handling_with(_exit):
        yield


@contextmanager
def raising_on_signal() -> Iterator[None]:
    """Context manager: Ctrl-C raises KeyboardInterrupt, SIGTERM :class:`Terminated`, for cleaning up."""
    with _handling_with(_raise):
        yield


def _exit(signum: int, _: FrameType | None) -> NoReturn:
    if os.environ.get("RANK", "0") == "0":  # the other processes of torchrun print nothing
        os.write(2, format_interruption(signum).encode())  # print() may be running
    os._exit(exit_code(signum))


def _raise(signum: int, _: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt if signum == signal.SIGINT else Terminated


@contextmanager
def _handling_with(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = _install_handler(handler)
    try:
        yield
    finally:
        for signum, previous in before.items():
            signal.signal(signum, previous)


def _install_handler(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    if threading.current_thread() is not threading.main_thread():  # only the main thread can catch signals
        return {}
    return {signum: signal.signal(signum, handler) for signum in SIGNALS}
