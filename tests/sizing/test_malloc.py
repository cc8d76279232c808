"""What is asked of the C library's allocator."""

from types import SimpleNamespace

import pytest

from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.sizing.malloc import set_malloc_options


@pytest.fixture
def mallopt(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """The options that the C library's allocator was given."""
    options: dict[int, int] = {}
    library = SimpleNamespace(mallopt=options.__setitem__)
    monkeypatch.setattr("ctypes.CDLL", lambda name: library)
    return options


MMAP_MAX, MMAP_THRESHOLD = -4, -3  # malloc.h


def test_freed_memory_is_kept_but_with_checkpointing_given_back(
    mallopt: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    set_malloc_options(TrainingConfig())
    assert mallopt[MMAP_MAX] == 0 and MMAP_THRESHOLD not in mallopt
    mallopt.clear()
    set_malloc_options(TrainingConfig(gradient_checkpointing=True))
    assert mallopt[MMAP_THRESHOLD] == 2**20 and MMAP_MAX not in mallopt


def test_the_allocator_of_another_system_is_not_changed(mallopt: dict[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    set_malloc_options(TrainingConfig())
    assert mallopt == {}


def test_a_c_library_without_options_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", lambda name: SimpleNamespace())  # as musl
    set_malloc_options(TrainingConfig())
