"""Rows of text in columns that fit a terminal. Standard library only."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Sequence

WIDTH = 80
"""Columns of a terminal."""

_NARROWEST = 24
"""A text is not wrapped into less than this."""


def table(rows: Sequence[Sequence[str]], right: Collection[int] = (), width: int = WIDTH, indent: str = "") -> Iterator[str]:
    """The lines of a table whose columns stand two spaces apart; an empty row is an empty line.

    Args:
        rows: each with as many cells as the first.
        right: numbers of the columns that are aligned on the right, as figures are.
        width: the last column, unless it is one of those, is wrapped where a line would be longer.
        indent: what every line begins with.
    """
    full = [row for row in rows if row]
    widths = [max(len(row[column]) for row in full) for column in range(len(full[0]))] if full else []
    last = len(widths) - 1
    for row in rows:
        if not row:
            yield ""
            continue
        padded = zip(range(len(row)), row, widths, strict=True)
        cells = [f"{cell:>{wide}}" if column in right else f"{cell:<{wide}}" for column, cell, wide in padded]
        if last in right:
            yield (indent + "  ".join(cells)).rstrip()
            continue
        head = indent + "".join(f"{cell}  " for cell in cells[:last])
        first, *more = wrapped(row[last], max(_NARROWEST, width - len(head))) or [""]
        yield f"{head}{first}".rstrip()
        yield from (" " * len(head) + line for line in more)


def wrapped(text: str, width: int = WIDTH, indent: str = "") -> list[str]:
    """The lines of a text; no word is broken, for what is to be pasted stands in it."""
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def headings(keys: Sequence[str]) -> list[str]:
    """The last part of each dotted key, or all of it where others end alike."""
    last = [key.rpartition(".")[2] for key in keys]
    return [name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)]


def figures(rows: Sequence[Sequence[str]]) -> list[int]:
    """The numbers of the columns that hold numbers alone, below a head."""
    columns = zip(*rows, strict=True)
    return [number for number, (_, *cells) in enumerate(columns) if all(_is_number(cell) for cell in cells if cell)]


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True
