"""JSON that is not trusted: an object, or one clear refusal."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.strict_json import read_json


def refusal(file: Path, largest: int = 1000) -> str:
    with pytest.raises(ConfigError) as caught:
        read_json(file, largest)
    (violation,) = caught.value.violations
    assert violation.key == str(file)
    return violation.rule


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "is not JSON", id="empty"),
        pytest.param(b"[]", "must be a JSON object", id="list"),
        pytest.param(b'{"a": NaN}', "holds NaN, which is no JSON number", id="NaN"),
        pytest.param(b'{"a": 1, "a": 2}', "has the key a twice", id="a key twice"),
        pytest.param(b'{"a": {"b": 1, "b": 2}}', "has the key b twice", id="a key twice, below"),
        pytest.param(b'{"a": ' + b"9" * 21 + b"}", "holds an integer of 21 digits", id="a large integer"),
        pytest.param(b'{"a": "\xff"}', "is not UTF-8", id="bytes"),
        pytest.param(b" " * 1001, "is larger than 1,000 bytes", id="size"),
    ],
)
def test_an_odd_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    assert refusal(tmp_path / "x.json").startswith(message)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "x.json") == "there is no such file"


def test_a_folder_cannot_be_read(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "cannot be read: Is a directory"


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), NESTED, max_size=3))
def test_json_is_read_back_unchanged(content: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "x.json")
        file.write_text(json.dumps(content), encoding="utf-8")
        assert read_json(file, 10**6) == content


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail_otherwise(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "x.json")
        file.write_bytes(content)
        try:
            assert isinstance(read_json(file, 1000), dict)
        except ConfigError as error:
            assert len(error.violations) == 1
