"""Paths as a user reads them."""

from pathlib import Path

import pytest

from gpt2hydra.utils.paths import relative_path


def test_a_path_is_relative_where_it_lies_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert relative_path(tmp_path / "outputs/a") == relative_path(Path("outputs/a")) == "outputs/a"
    assert relative_path(tmp_path.parent) == str(tmp_path.parent)
