"""Columns that fit a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from gpt2hydra.utils.table import format_table, wrap_text

words = st.text(st.sampled_from("abc "), max_size=60).map(lambda text: " ".join(text.split()))


def test_numbers_are_right_aligned_and_the_last_column_is_wrapped() -> None:
    rows = [("a", "1", "one two three four five six seven"), (), ("long", "1,000", "")]
    assert list(format_table(rows, right=(1,), width=39, indent="  ")) == [
        "  a         1  one two three four five",
        "               six seven",
        "",
        "  long  1,000",
    ]


def test_no_word_is_split() -> None:
    assert wrap_text("try training.gradient-accumulation=2", width=10) == ["try", "training.gradient-accumulation=2"]


@given(st.lists(st.tuples(words, words, words), min_size=1, max_size=5))
def test_every_cell_is_there_in_its_column(rows: list[tuple[str, str, str]]) -> None:
    starts = max(len(row[0]) for row in rows) + 2, max(len(row[0]) for row in rows) + max(len(row[1]) for row in rows) + 4
    lines = list(format_table(rows, width=10**4))
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert line.startswith(row[0]) and line[starts[0] :].startswith(row[1]) and line[starts[1] :] == row[2]
