"""What is printed to be pasted is read back by bash and by Hydra as the value that it stands for."""

import shlex
import subprocess

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from gpt2hydra.utils.quoting import Placeholder, RawOverride, format_override, quote_for_bash, quote_for_hydra

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=30)
SIGNS = st.text("ab07. ,'\"\\$&()[]{}!*~?;<>|=#%`-e", max_size=12)


def parsed(text: str) -> object:
    return OverridesParser.create().parse_override(text).value()


@given(TEXTS | SIGNS)
def test_text_is_read_back_as_it_was(text: str) -> None:
    escaped = text if "${" not in text else text.replace("${", "$")  # an interpolation is meant as one
    assert str(parsed(format_override("a", escaped))) == escaped
    assert isinstance(parsed(format_override("a", escaped)), str) or hasattr(parsed(format_override("a", escaped)), "text")


@given(TEXTS | SIGNS)
def test_a_shell_reads_it_as_one_word(text: str) -> None:
    assert shlex.split(quote_for_bash(text or "x")) == [text or "x"]


def test_bash_itself_reads_it_as_one_word() -> None:
    words = ["a b", "a&b;c", "it's", '"', "$HOME ${x} `id`", "a\\b", "*", "~experiment", "(a|b)", "#x", "-m", "é"]
    script = "printf '%s\\n' " + " ".join(map(quote_for_bash, words))
    assert subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines() == words


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        (7, "a=7"),
        (1e-5, "a=1e-05"),
        (None, "a=null"),
        (True, "a=true"),
        ("large", "a=large"),
        ("data/x.txt", "a=data/x.txt"),
        ("a b,c.txt", "a='a b,c.txt'"),
        ("007", "a='007'"),
        ("null", "a='null'"),
        ("it's", "a='it\\'s'"),
        ("${model.n_embd}", "a=${model.n_embd}"),
        ("${oc.env:HOME}/x", "a='${oc.env:HOME}/x'"),
        ([1, "b c"], "a=[1,'b c']"),
        ({"b": None, "c": 2}, "a={b:null,c:2}"),
        (RawOverride("2,3"), "a=2,3"),
        (Placeholder("..."), "a=..."),
    ],
)
def test_a_value_is_typed_as_plainly_as_it_can_be(value: object, typed: str) -> None:
    assert format_override("a", value) == typed


def test_an_interpolation_can_be_text_too() -> None:
    assert quote_for_hydra("${x} = \\${y}") == "'\\${x} = \\\\\\${y}'"
