"""What a valid configuration needs of this machine: extras, files, a device, a directory. Looked at before anything is made."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from gpt2hydra.config.checked import Checked
from gpt2hydra.config.fields import ConfigError, Violation, assignment
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import GenerateConfig, TrainConfig

if TYPE_CHECKING:
    from gpt2hydra.composition.composer import Composer

EXTRAS = {"train": ("torch", "transformers", "accelerate", "safetensors", "matplotlib")}
"""Extra → the modules that it brings: an absent one would stop a run, the last at its very end."""


def require(extra: str | None) -> None:
    """Exit with 1 and the command to type where an extra's modules are not installed."""
    absent = [module for module in EXTRAS.get(extra or "", ()) if find_spec(module) is None]
    if absent:
        sys.stderr.write(
            f"The configuration is valid, but {', '.join(absent)} cannot be imported; nothing was started.\n"
            f"  try: {install_command(extra)}\n"
        )
        sys.exit(1)


def install_command(extra: str | None) -> str:
    """What to type for an extra: of the checkout that this is, or of the package."""
    checkout = CONF_DIR.parent
    is_checkout = (checkout / "pyproject.toml").is_file()
    return f"pip install -e '{checkout}[{extra}]'" if is_checkout else f"pip install 'gpt2hydra[{extra}]'"


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


@contextmanager
def resolving(key: str, written: object) -> Iterator[None]:
    """Within, a reference that cannot be resolved is a violation of ``key``."""
    try:
        yield
    except Exception as error:  # resolvers raise what they like
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError([Violation(key, written, f"cannot be resolved: {reason}")]) from error


def check_directory(directory: Path, key: str, parent: Path | None = None) -> None:
    """Refuse an output directory, which ``key`` gives or its ``parent``, that cannot be written or holds a run."""
    try:
        finished = (directory / "checkpoint").exists()
        existing = next(folder for folder in (directory, *directory.parents) if folder.exists())
    except OSError as error:  # a name that is too long
        raise ConfigError([unwritable(directory, error.strerror, key)]) from None
    if finished:
        rule = "holds the checkpoint of an earlier run, which would be overwritten; choose another"
        raise ConfigError([Violation(key, str(directory), rule, suggestion=assignment(key, f"{parent or directory}-2"))])
    if not existing.is_dir():
        raise ConfigError([unwritable(directory, f"{existing} is a file", key)])
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError([unwritable(directory, f"no permission to write in {existing}", key)])


def remove_fresh(directory: Path) -> None:
    """Remove a run directory that was made just now, and the folders above it that were made for it."""
    shutil.rmtree(directory, ignore_errors=True)
    with contextlib.suppress(OSError):  # what is not empty stays
        os.removedirs(directory.parent)


def unwritable(directory: Path, reason: object, key: str) -> Violation:
    """The violation of an output directory."""
    rule = f"must be a folder that can be written ({reason})"
    return Violation(key, str(directory), rule, suggestion=f"{key}={'outputs/mine' if key.endswith('dir') else 'mine'}")


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
        from gpt2hydra.data import text as data

        return data.problems(config)
    if isinstance(config, GenerateConfig):
        from gpt2hydra.checkpoint import folder as checkpoint

        return checkpoint.problems(config)
    return []
