"""Which device, and what it can do."""

import pytest

pytest.importorskip("torch")

import torch

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.inference.device import check_precision, select_device


@pytest.fixture
def cpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("cpu_alone")
def test_auto_is_the_cpu_without_an_accelerator() -> None:
    assert select_device("auto", "device") == select_device("cpu", "device") == torch.device("cpu")


def test_auto_is_the_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert select_device("auto", "device") == torch.device("cuda")


@pytest.mark.usefixtures("cpu_alone")
@pytest.mark.parametrize(("wanted", "what"), [("cuda", "a GPU"), ("mps", "an Apple GPU")])
def test_a_device_that_is_not_there_is_refused(wanted: str, what: str) -> None:
    with pytest.raises(ConfigError) as refused:
        select_device(wanted, "training.device")
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
