"""Parquet files with a column of text, as in FineWeb and nanochat; each row is a document. Needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpt2hydra.utils.formatting import error_reason

SUFFIX = ".parquet"
COLUMN = "text"
BATCH_ROWS = 256
"""Rows in memory at a time."""


def problem(file: Path) -> str:
    """Return why a file is not a readable parquet file with text; empty if it is one."""
    if find_spec("pyarrow") is None:
        return "needs pyarrow, which is not installed: pip install pyarrow"
    import pyarrow  # type: ignore[import-untyped]  # of the extra parquet, as below

    try:
        with _open(file) as table:
            schema = table.schema_arrow
            if COLUMN not in schema.names:
                return f"must have a column '{COLUMN}'; it has {', '.join(schema.names) or 'none'}"
            kind = str(schema.field(COLUMN).type)
            if kind not in ("string", "large_string", "string_view"):
                return f"must have text in its column '{COLUMN}', not {kind}"
            return "" if table.metadata.num_rows else "has no rows"
    except (pyarrow.ArrowException, OSError) as error:
        return f"cannot be read as a parquet file: {error_reason(error)}"


def rows(file: Path) -> Iterator[str]:
    """Yield the text of each row; skip rows without text."""
    with _open(file) as table:
        for batch in table.iter_batches(batch_size=BATCH_ROWS, columns=[COLUMN]):
            yield from filter(None, batch.column(0).to_pylist())


def size(file: Path) -> int:
    """Return the approximate number of bytes of text: the uncompressed size of the column."""
    with _open(file) as table:
        about = table.metadata
        groups = [about.row_group(number) for number in range(about.num_row_groups)]
        columns = [group.column(place) for group in groups for place in range(group.num_columns)]
        return sum(column.total_uncompressed_size for column in columns if column.path_in_schema == COLUMN)


def _open(file: Path) -> Any:
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    return ParquetFile(file)
