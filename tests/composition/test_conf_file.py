"""One YAML file: its defaults list by line, and what is reported where it cannot be read."""

from pathlib import Path

import pytest

from gpt2hydra.composition.conf_file import Entry, defaults_entries, package_of, read_yaml
from gpt2hydra.config.errors import ConfigError, Source


def test_a_defaults_list_is_read_with_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        """\
# @package _global_
defaults:
  - _self_
  - /train_schema
  - shared@training
  - override /model@encoder: xl
  - optional db:
      - one
      - two
  - {/tokenizer: null}
  - part: ${model}
x: 1
"""
    )
    assert defaults_entries(file, "group") == [
        Entry(3, "_self_", "", "group/_self_", "", None),
        Entry(4, "/train_schema", "", "train_schema", "", None),
        Entry(5, "shared@training", "", "group/shared", "training", None),
        Entry(6, "override /model@encoder: xl", "override", "model", "encoder", ("xl",)),
        Entry(7, "optional db: one, two", "optional", "group/db", "", ("one", "two")),
        Entry(10, "/tokenizer: null", "", "tokenizer", "", ()),
        Entry(11, "part: ${model}", "", "group/part", "", ("${model}",)),
    ]


@pytest.mark.parametrize("text", ["", "# only a remark\n", "x: 1\n", "defaults: []\n"])
def test_a_file_may_have_no_defaults_list(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    assert defaults_entries(file, "") == []


@pytest.mark.parametrize(
    ("content", "line", "rule"),
    [
        pytest.param(b"a: 1\nb: \xff\n", 2, "is not UTF-8", id="latin"),
        pytest.param(b"a: 1\nb: 2\na: 3\n", 3, "has the key a twice", id="a key twice"),
        pytest.param(b"a:\n  b: {\n", 3, "is not YAML: expected the node content", id="no end"),
        pytest.param(b"a: 1\n---\nb: 1\n", 2, "is not YAML: a second document begins with this line", id="two documents"),
        pytest.param(b"a: &x 1\nb: &x 2\n", 2, "is not YAML: the anchor (&name) in this line is a duplicate", id="anchors"),
        pytest.param(b"text\n", 1, "must be a YAML file of key: value lines, not text", id="text"),
        pytest.param(b"", 1, "cannot be read: No such file or directory", id="nothing"),
    ],
)
def test_a_file_that_cannot_be_read_is_reported_with_the_line(tmp_path: Path, content: bytes, line: int, rule: str) -> None:
    file = tmp_path / "a.yaml"
    if content:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        read_yaml(file)
    (violation,) = refused.value.violations
    assert rule in violation.rule
    assert violation.source == Source("file", str(file), line if content else None)


@pytest.mark.parametrize(
    ("text", "package"),
    [
        pytest.param("n_layer: 3", "a.b", id="its folder"),
        pytest.param("# @package _global_\nx: 1", "", id="the root"),
        pytest.param("\n# @package _global_.deep\nx: 1", "deep", id="below the root"),
        pytest.param("#@package  other\n", "other", id="another section"),
        pytest.param("# @package _group_._name_\n", "a.b.c", id="by its name"),
        pytest.param("# a remark\n# @package _global_\n", "a.b", id="not in the first lines"),
    ],
)
def test_the_package_of_a_file(tmp_path: Path, text: str, package: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    assert package_of(file, "a/b") == package
