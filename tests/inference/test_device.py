"""Which device, and what it can do."""

from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

import torch

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import TrainingConfig
from gpt2hydra.inference.device import check_precision, device_for, set_malloc_options


@pytest.fixture
def cpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("cpu_alone")
def test_auto_is_the_cpu_where_there_is_nothing_else() -> None:
    assert device_for("auto", "device") == device_for("cpu", "device") == torch.device("cpu")


def test_auto_is_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_for("auto", "device") == torch.device("cuda")


@pytest.mark.usefixtures("cpu_alone")
@pytest.mark.parametrize(("wanted", "what"), [("cuda", "a GPU"), ("mps", "an Apple GPU")])
def test_a_device_that_is_not_there_is_refused(wanted: str, what: str) -> None:
    with pytest.raises(ConfigError) as refused:
        device_for(wanted, "training.device")
    rule = f"is not available: {wanted} needs {what}; PyTorch {torch.__version__} finds none"
    assert refused.value.violations == (Violation("training.device", wanted, rule, remedy={"training.device": "auto"}),)


def test_every_cpu_computes_in_every_precision() -> None:
    for precision in ("fp32", "bf16", "bf16_pure"):
        check_precision(precision, torch.device("cpu"))


@pytest.mark.parametrize("precision", ["bf16", "bf16_pure"])
def test_a_gpu_without_bfloat16_is_refused_for_it(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    check_precision("fp32", torch.device("cuda"))
    with pytest.raises(ConfigError, match="must be fp32: Tesla T4 has no bfloat16"):
        check_precision(precision, torch.device("cuda"))


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


def test_the_allocator_of_another_system_is_left_alone(mallopt: dict[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    set_malloc_options(TrainingConfig())
    assert mallopt == {}


def test_a_c_library_without_options_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", lambda name: SimpleNamespace())  # as musl
    set_malloc_options(TrainingConfig())
