"""Fixtures that several test modules use."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from gpt2hydra.sizing import fit
from tests.command_line import CommandLine

settings.register_profile("thorough", max_examples=3000)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[CommandLine]:
    """The command line, in an empty folder, on a machine that everything fits. Hydra's changes to logging end with the test."""
    monkeypatch.setattr(fit, "_gpu_memory", lambda: None)
    monkeypatch.setattr(fit, "_machine_memory", lambda: 10**15)
    monkeypatch.setenv("COLUMNS", "120")
    root, before = logging.getLogger(), list(logging.getLogger().handlers)
    yield CommandLine(monkeypatch, capfd, tmp_path)
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
        handler.close()
