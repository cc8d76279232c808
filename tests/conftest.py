"""Fixtures that several test modules use."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from gpt2hydra.sizing import device
from tests.command_line import CommandLine

settings.register_profile("any speed", deadline=None)
settings.register_profile("thorough", max_examples=3000, deadline=None)
settings.load_profile("any speed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--thorough``: all of what is random or long, and many more random cases; minutes instead of seconds."""
    parser.addoption("--thorough", action="store_true", help="also run what takes minutes, with many more random cases")


def pytest_configure(config: pytest.Config) -> None:
    """Take Hypothesis's thorough profile too."""
    if config.getoption("--thorough"):
        settings.load_profile("thorough")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes, unless it is asked for."""
    if not config.getoption("--thorough"):
        for item in items:
            if item.get_closest_marker("thorough"):
                item.add_marker(pytest.mark.skip(reason="takes minutes: python -m pytest --thorough"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[CommandLine]:
    """The command line, in an empty folder, on a machine that everything fits. Hydra's changes to logging end with the test."""
    monkeypatch.setattr(device, "gpu_memory", lambda: None)
    monkeypatch.setattr(device, "machine_memory", lambda: 10**15)
    monkeypatch.setenv("COLUMNS", "120")
    root, before = logging.getLogger(), list(logging.getLogger().handlers)
    yield CommandLine(monkeypatch, capfd, tmp_path)
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
        handler.close()
