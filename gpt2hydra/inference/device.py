"""The device of a run, and what it can do. Imports torch."""

from __future__ import annotations

import torch

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import TrainingConfig

NEEDS = {"cuda": "a GPU", "mps": "an Apple GPU"}


def device_for(wanted: str, key: str) -> torch.device:
    """The device that ``wanted`` names; an accelerator, if there is one, for ``auto``.

    Raises:
        ConfigError: blaming ``key``, if there is no such device.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device(next(name for name, usable in there.items() if usable))
    if not there[wanted]:
        rule = f"is not available: {wanted} needs {NEEDS[wanted]}; PyTorch {torch.__version__} finds none"
        raise ConfigError([Violation(key, wanted, rule, remedy={key: "auto"})])
    return torch.device(wanted)


def for_training(config: TrainingConfig) -> torch.device:
    """The device of a training run.

    Raises:
        ConfigError: it is not here, or does not compute in the precision asked for.
    """
    device = device_for(config.device, "training.device")
    check_precision(config.precision, device)
    return device


def check_precision(precision: str, device: torch.device) -> None:
    """See that ``device`` computes in ``precision``.

    Raises:
        ConfigError: it does not.
    """
    old_gpu = device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
    old_mac = device.type == "mps" and not torch.backends.mps.is_macos_or_newer(14, 0)
    if precision != "fp32" and (old_gpu or old_mac):
        name = torch.cuda.get_device_name(device) if old_gpu else "macOS before 14"
        rule = f"must be fp32: {name} has no bfloat16"
        raise ConfigError([Violation("training.precision", precision, rule, remedy={"training.precision": "fp32"})])
