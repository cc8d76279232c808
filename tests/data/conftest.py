"""Texts for the tests of this folder."""

from pathlib import Path

import pytest

from gpt2hydra.data import corpus


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("It was a dark and stormy night. " * 10, encoding="utf-8")
    return tmp_path / "text.txt"


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "MAX_IN_MEMORY_BYTES", 100)
