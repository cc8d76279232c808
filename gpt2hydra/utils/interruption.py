"""Ctrl-C and SIGTERM where there is nothing to save: one sentence and the shell's exit code, never a traceback."""

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
    """SIGTERM, where a Ctrl-C is a KeyboardInterrupt."""


def format_interruption(signum: int) -> str:
    """``Interrupted by Ctrl-C.``, below what the terminal shows of it."""
    return f"\nInterrupted by {'Ctrl-C' if signum == signal.SIGINT else signal.Signals(signum).name}.\n"


def exit_code(signum: int) -> int:
    """As a shell gives it: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + signum


def end_at_once() -> None:
    """From here on, a signal ends the process. Nothing is cleaned up."""
    _set(_end)


def ignore_more() -> None:
    """From here on, a Ctrl-C changes nothing: the interpreter that ends would otherwise die of it, with another exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Within, a signal ends the process: for imports, which may turn an exception that is raised in them into another."""
    with _handled_by(_end):
        yield


@contextmanager
def raising() -> Iterator[None]:
    """Within, Ctrl-C raises a KeyboardInterrupt, and SIGTERM :class:`Terminated`, so that what is in work is cleaned up."""
    with _handled_by(_raise):
        yield


def _end(signum: int, _: FrameType | None) -> NoReturn:
    if os.environ.get("RANK", "0") == "0":  # the others that torchrun started are silent
        os.write(2, format_interruption(signum).encode())  # print() may be at work
    os._exit(exit_code(signum))


def _raise(signum: int, _: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt if signum == signal.SIGINT else Terminated


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = _set(handler)
    try:
        yield
    finally:
        for signum, previous in before.items():
            signal.signal(signum, previous)


def _set(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    if threading.current_thread() is not threading.main_thread():  # only there can signals be caught
        return {}
    return {signum: signal.signal(signum, handler) for signum in SIGNALS}
