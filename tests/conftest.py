"""Fixtures that several test modules use."""

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from gpt2hydra.sizing import device, timing
from tests.command_line import CommandLine

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Threads of PyTorch, here and in the programs that tests start: the models are too small to share, and a thread that waits
spins on a core that another worker needs."""

gc.set_threshold(100_000, 50, 50)
"""Compositions make many small objects that hold no circles: Python's default looks for circles in a tenth of the time."""

QUICK = ("utils", "config", "data", "test_house.py", "test_public_names.py")
"""Folders and files of tests that take no more than seconds together, and do not import PyTorch."""

settings.register_profile("any speed", deadline=None)
settings.register_profile("thorough", max_examples=3000, deadline=None)
settings.load_profile("any speed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--thorough``: all of what is random or long, and many more random cases; minutes instead of seconds.

    ``--rewrite-golden``: complete reports are written instead of compared; ``git diff tests/golden`` shows
    what changed.
    """
    parser.addoption("--thorough", action="store_true", help="also run what takes minutes, with many more random cases")
    parser.addoption("--rewrite-golden", action="store_true", help="write what the programs print now into tests/golden/")


def pytest_configure(config: pytest.Config) -> None:
    """Take Hypothesis's thorough profile too."""
    if config.getoption("--thorough"):
        settings.load_profile("thorough")


def is_quick(file: Path) -> bool:
    """Whether all tests of a file are quick."""
    return any(file.is_relative_to(Path(__file__).parent / name) for name in QUICK)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``-m quick``, import no other tests: that alone would take longer."""
    return True if config.getoption("-m") == "quick" and collection_path.is_file() and not is_quick(collection_path) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is quick, and leave out what takes minutes, unless it is asked for."""
    for item in items:
        if is_quick(item.path):
            item.add_marker(pytest.mark.quick)
        if item.get_closest_marker("thorough") and not config.getoption("--thorough"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: python -m pytest --thorough"))


def pytest_collection_finish() -> None:
    """What has been imported stays: the collector need not look at it again and again."""
    gc.freeze()


@pytest.fixture(autouse=True)
def no_timing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan does not time a step of this machine, which takes a second."""
    if request.path.name != "test_timing.py":
        monkeypatch.setattr(timing, "step_seconds", lambda *_: 1.0)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[CommandLine]:
    """The command line, in an empty folder, on a machine that everything fits and that takes a second for any step.

    Hydra's changes to logging end with the test.
    """
    monkeypatch.setattr(device, "gpu_memory", lambda: None)
    monkeypatch.setattr(device, "machine_memory", lambda: 10**15)
    monkeypatch.setattr(timing, "step_seconds", lambda *_: 1.0)
    monkeypatch.setenv("COLUMNS", "120")
    root, before = logging.getLogger(), list(logging.getLogger().handlers)
    yield CommandLine(monkeypatch, capfd, tmp_path)
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
        handler.close()
