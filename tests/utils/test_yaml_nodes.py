"""YAML is read as OmegaConf reads it, whatever its version, and a file that no config can be is reported before it is read."""

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from gpt2hydra.utils.yaml_nodes import Loader, YamlValue, check_yaml, decimal, is_misread_number, read_yaml


def ours(text: str) -> Any:
    try:
        return yaml.load(text, Loader=Loader)
    except yaml.YAMLError:
        return "refused"


def omegaconfs(text: str) -> Any:
    try:
        return OmegaConf.to_container(OmegaConf.load(io.StringIO(text)))
    except yaml.YAMLError:
        return "refused"


@given(st.text("0123456789.eE+-_:xnofyesinfa~", min_size=1, max_size=8))
def test_a_scalar_is_what_omegaconf_makes_of_it(scalar: str) -> None:
    text = f"key: {scalar}\n"
    assert repr(ours(text)) == repr(omegaconfs(text))  # a NaN equals no other, but its text


@pytest.mark.parametrize(
    "text", ["a: 2001-01-01", "a: {b: 1, b: 2}", "a: [1e3, .5e3, 1., 0o7, 0x1F]", "a: &x 1\nb: *x", "- <<: {a: 1}"]
)
def test_a_document_is_what_omegaconf_makes_of_it(text: str) -> None:
    assert ours(text) == omegaconfs(text)


def a_file(folder: Path, text: str) -> str:
    (folder / "a.yaml").write_text(text, encoding="utf-8", errors="surrogateescape")
    return str(folder / "a.yaml")


BOMB = "x: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + "".join(
    f"x{number}: &a{number} [{', '.join([f'*a{number - 1 if number else str()}'] * 9)}]\n" for number in range(7)
)


def test_a_file_that_cannot_be_read_raises_the_same_each_time(tmp_path: Path) -> None:
    file = a_file(tmp_path, "defaults: [{first: <<}]\nhydra: {job: {name: mine}}\n")
    for _ in range(2):
        with pytest.raises(yaml.MarkedYAMLError, match="could not determine a constructor"):
            read_yaml(file)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        pytest.param("a: 1\nb:\n  c: 1\n  c: 2\n", 4, "has the key c twice", id="key twice"),
        pytest.param("a: {1: x, 1: y}\n", 1, "has the key 1 twice", id="number twice"),
        pytest.param("a: 1\nb: &m\n  c: *m\n", 2, "contains itself through the anchor (&name) at this line", id="itself"),
        pytest.param(BOMB, 1, "its aliases (*name) expand 26 values to 54,481,013; the limit is 10,000", id="bomb"),
        pytest.param("a: " + "[" * 900 + "]" * 900, 1, "is nested more than 100 levels deep", id="deep"),
        pytest.param("# a\nb: caf\udce9\n", 2, "is not UTF-8", id="latin-1"),
        pytest.param(
            "# \u00e9\nb: x\x00\n", 2, "has the character '\\x00', which YAML does not accept", id="a sign of control"
        ),
        pytest.param("a:\n  null: 1\n", 2, "has null in place of a key", id="null for a key"),
        pytest.param("a: 1\n? [a]\n: 1\n", 2, "has a sequence in place of a key", id="a list for a key"),
        pytest.param("a: 1\nb: !!int abc\n", 2, "has a value that is no !!int: abc", id="no integer"),
        pytest.param("a: 1\nb: !own {c: 1}\n", 2, "has the tag !own, which is unknown", id="tag"),
        pytest.param("a: !!python/name:os.system\n", 1, "has the tag !!python/name:os.system, which is unknown", id="Python"),
        pytest.param("a: [0x_]\n", 1, "has a value that is no !!int: 0x_", id="no digits"),
    ],
)
def test_invalid_yaml_is_reported_with_its_line(text: str, line: int, problem: str, tmp_path: Path) -> None:
    with pytest.raises(yaml.MarkedYAMLError) as caught:
        check_yaml(a_file(tmp_path, text))
    mark = caught.value.problem_mark
    assert mark is not None
    assert (caught.value.problem, mark.line + 1, mark.name) == (problem, line, str(tmp_path / "a.yaml"))


@pytest.mark.parametrize(
    ("text", "value", "written"),
    [
        pytest.param("n: 12\n", 12, "12", id="plain"),
        pytest.param("n: &x 014\n", 12, "014", id="anchor"),
        pytest.param("n:\n  014\n", 12, "014", id="next line"),
        pytest.param('{"n":014}', 12, "014", id="flow mapping"),
        pytest.param("n: !!int 014\n", 12, "014", id="tag"),
        pytest.param("n: '014'\n", "014", None, id="quoted"),
        pytest.param("n: no\n", False, "no", id="a truth"),
        pytest.param("a: &a no\nn: *a\n", False, "no", id="alias"),
        pytest.param("n: !!bool 'no'\n", False, "no", id="quoted, with a tag"),
        pytest.param("<<: {n: 014}\n", 12, "014", id="merged"),
        pytest.param("n:\n", None, "", id="nothing"),
    ],
)
def test_a_value_is_read_with_its_line_and_how_it_was_written(
    text: str, value: Any, written: str | None, tmp_path: Path
) -> None:
    found = read_yaml(a_file(tmp_path, f"# a comment\n{text}")).value["n"]
    assert (found.value, found.text) == (value, written) and found.line >= 2


def test_an_empty_file_has_no_value(tmp_path: Path) -> None:
    assert read_yaml(a_file(tmp_path, "# nothing\n")) == YamlValue(None, 1)


@pytest.mark.parametrize(("written", "meant"), [("012", "12"), ("-0_7", "-7"), ("1:30", ""), ("12", None), ("0x10", None)])
def test_numbers_of_other_bases_are_reported(written: str, meant: Any) -> None:
    assert is_misread_number(written) == (meant is not None)
    if meant is not None:
        assert decimal(written) == meant
