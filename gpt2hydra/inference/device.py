"""The device of a run, and what it can do. Imports torch."""

from __future__ import annotations

import torch

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import TrainingConfig

REQUIRED_HARDWARE = {"cuda": "a GPU", "mps": "an Apple GPU"}


def select_device(wanted: str, key: str) -> torch.device:
    """Return the device that ``wanted`` names; for ``auto``, an accelerator if there is one.

    Raises:
        ConfigError: there is no such device; the violation is of ``key``.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device(next(name for name, usable in available.items() if usable))
    if not available[wanted]:
        rule = f"is not available: {wanted} needs {REQUIRED_HARDWARE[wanted]}; PyTorch {torch.__version__} finds none"
        raise ConfigError([Violation(key, wanted, rule, remedy={key: "auto"})])
    return torch.device(wanted)


def select_training_device(config: TrainingConfig) -> torch.device:
    """Return the device of a training run.

    Raises:
        ConfigError: it is not available, or does not compute in ``training.precision``.
    """
    device = select_device(config.device, "training.device")
    check_precision(config.precision, device)
    return device


def check_precision(precision: str, device: torch.device) -> None:
    """Check that ``device`` computes in ``precision``.

    Raises:
        ConfigError: it does not.
    """
    old_gpu = device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
    old_mac = device.type == "mps" and not torch.backends.mps.is_macos_or_newer(14, 0)
    if precision != "fp32" and (old_gpu or old_mac):
        name = torch.cuda.get_device_name(device) if old_gpu else "macOS before 14"
        rule = f"must be fp32: {name} has no bfloat16"
        raise ConfigError([Violation("training.precision", precision, rule, remedy={"training.precision": "fp32"})])
