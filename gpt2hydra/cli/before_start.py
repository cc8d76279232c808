"""What a valid configuration needs of this machine: extras, files, a device, a directory. Looked at before anything is made."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpt2hydra.config.checked import Checked
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.run import GenerateConfig, TrainConfig

if TYPE_CHECKING:
    from gpt2hydra.composition.composer import Composer


def device_problems(config: Checked) -> tuple[Violation, ...]:
    """Whether the device is here, asked before a directory is made. Imports torch, unless any device will do."""
    try:
        if isinstance(config, TrainConfig) and (config.training.device, config.training.precision) != ("auto", "fp32"):
            from gpt2hydra.inference import device

            device.for_training(config.training)
        elif isinstance(config, GenerateConfig) and config.device != "auto":
            from gpt2hydra.inference import device

            device.pick(config.device, "device")
    except ConfigError as error:
        return error.violations
    return ()


def note_overruled(composer: Composer, overrides: Sequence[str]) -> None:
    """Say on standard error which choices of the command line come to nothing."""
    if sum("=" in text and "." not in text.partition("=")[0] for text in overrides) > 1:
        from gpt2hydra.composition.origins import overruled

        sys.stderr.write("".join(f"{note}\n" for note in overruled(composer, overrides)))


def warn_of_memory(config: Checked) -> None:
    """Say on standard error where the predicted peak exceeds the device, and what would fit."""
    if isinstance(config, TrainConfig):
        from gpt2hydra.sizing.fit import memory_warning, on_this_machine

        warning = memory_warning(on_this_machine(config))
        if warning:
            sys.stderr.write(f"{warning}\n\n")


def machine_problems(config: Checked) -> list[Violation]:
    """What is wrong with the files that a valid config names: the text, the tokenizer, the checkpoint."""
    if isinstance(config, TrainConfig):
        from gpt2hydra.data import corpus as data

        return data.problems(config)
    if isinstance(config, GenerateConfig):
        from gpt2hydra.checkpoint import folder as checkpoint

        return checkpoint.problems(config)
    return []
