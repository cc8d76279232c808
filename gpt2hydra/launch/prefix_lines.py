"""Lines of jobs that run at once: each begins with the number of its job."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO


class Numbered(io.TextIOBase):
    """A stream that writes complete lines, each with a number in front, into another stream."""

    def __init__(self, stream: TextIO, number: int) -> None:
        self.stream, self.prefix, self.begun = stream, f"#{number}  ", ""

    def write(self, text: str) -> int:
        """Write the lines that ``text`` ends; what it begins waits."""
        *lines, self.begun = (self.begun + text).split("\n")
        if lines:
            self.stream.write("".join(f"{self.prefix}{line}".rstrip() + "\n" for line in lines))
            self.stream.flush()
        return len(text)

    def end(self) -> None:
        """Write what was begun."""
        if self.begun:
            self.write("\n")


@contextmanager
def number_lines(number: int) -> Iterator[None]:
    """Within, both outputs are numbered. No terminal is seen behind them, so that nobody draws a bar."""
    out, err = Numbered(sys.stdout, number), Numbered(sys.stderr, number)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            yield
        finally:
            out.end()
            err.end()
