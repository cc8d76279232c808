"""Fixtures that several test modules use."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import CommandLine


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[CommandLine]:
    """The command line, in an empty folder. What Hydra's jobs do to logging ends with the test."""
    root, before = logging.getLogger(), list(logging.getLogger().handlers)
    yield CommandLine(monkeypatch, capfd, tmp_path)
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
        handler.close()
