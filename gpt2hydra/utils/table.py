"""Rows of text in columns that fit a terminal. Standard library only."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Sequence

WIDTH = 80
"""Columns of a terminal."""

_MIN_WIDTH = 24
"""A text is never wrapped to fewer columns than this."""


def format_table(
    rows: Sequence[Sequence[str]], right: Collection[int] = (), width: int = WIDTH, indent: str = ""
) -> Iterator[str]:
    """Yield the lines of a table with two spaces between columns; an empty row is an empty line.

    Args:
        rows: all with the same number of cells.
        right: numbers of the columns to align on the right, usually those of figures.
        width: the last column is wrapped if a line would be longer, unless it is aligned on the right.
        indent: text at the beginning of every line.
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
        first, *more = wrap_text(row[last], max(_MIN_WIDTH, width - len(head))) or [""]
        yield f"{head}{first}".rstrip()
        yield from (" " * len(head) + line for line in more)


def wrap_text(text: str, width: int = WIDTH, indent: str = "") -> list[str]:
    """The lines of a text. Words are never broken, because they may be commands to paste."""
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def short_headings(keys: Sequence[str]) -> list[str]:
    """The last part of each dotted key, or the complete key if the last part is not unique."""
    last = [key.rpartition(".")[2] for key in keys]
    return [name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)]


def numeric_columns(rows: Sequence[Sequence[str]]) -> list[int]:
    """The numbers of the columns that hold only numbers, below a heading."""
    columns = zip(*rows, strict=True)
    return [number for number, (_, *cells) in enumerate(columns) if all(_is_number(cell) for cell in cells if cell)]


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True
