"""Paths as a user reads them."""

from pathlib import Path

import pytest

from gpt2hydra.utils.paths import nearest_existing, relative_path, user_path


def test_a_path_below_the_current_folder_is_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert relative_path(tmp_path / "outputs/a") == relative_path(Path("outputs/a")) == "outputs/a"
    assert relative_path(tmp_path.parent) == str(tmp_path.parent)


def test_the_nearest_existing_folder_is_the_path_itself_or_above_it(tmp_path: Path) -> None:
    assert nearest_existing(tmp_path) == nearest_existing(tmp_path / "a/b") == tmp_path


def test_a_home_is_found_and_a_name_that_no_user_has_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert user_path("~/text") == user_path(Path("~/text")) == Path("/home/ada/text")
    assert user_path("~>.|t") == Path("~>.|t")
