"""Tokens of several sources, read as one."""

import itertools

import pytest

pytest.importorskip("numpy")

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpt2hydra.data.tokens import InMemory, Span, Tokens


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.data())
def test_spans_are_read_as_one(lengths: list[int], data: st.DataObject) -> None:
    whole = np.arange(sum(lengths) + 2, dtype=np.uint16)
    source, cuts = InMemory(whole), [1, *(1 + np.cumsum(lengths))]
    tokens = Tokens([Span(source, begin, end) for begin, end in itertools.pairwise(cuts)])
    assert len(tokens) == sum(lengths)
    length = data.draw(st.integers(0, len(tokens)))
    starts = np.array(data.draw(st.lists(st.integers(0, len(tokens) - length), max_size=4)), dtype=np.int64)
    expected = 1 + starts[:, None] + np.arange(length)
    found = tokens.windows(starts, length)
    assert found.dtype == np.int64 and found.tolist() == expected.tolist()


def test_there_may_be_no_tokens() -> None:
    assert len(Tokens([])) == 0
