"""Jobs that print at once can be distinguished."""

import io
import sys

import pytest

from gpt2hydra.launch.prefix_lines import Numbered, number_lines


def test_each_line_is_written_whole_with_its_number() -> None:
    stream = io.StringIO()
    first, second = Numbered(stream, 0), Numbered(stream, 1)
    for word, other in zip(("step 1", "\nstep", " 2\n", "\n"), ("a", "b\n", "c\nd", "e"), strict=True):
        first.write(word)
        second.write(other)
    first.end()
    second.end()
    assert stream.getvalue() == "#0  step 1\n#1  ab\n#0  step 2\n#1  c\n#0\n#1  de\n"


def test_both_outputs_are_numbered_and_a_mistake_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="oops"), number_lines(12):
        print("one", end="")
        sys.stderr.write("two\n")
        assert not sys.stderr.isatty()
        raise ValueError("oops")
    assert capsys.readouterr() == ("#12  one\n", "#12  two\n")
