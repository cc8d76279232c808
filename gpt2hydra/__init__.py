"""gpt2hydra: turns YAML into validated GPT-2 configurations, with Hydra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpt2hydra import sizing as sizing
    from gpt2hydra.checkpoint import huggingface as huggingface
    from gpt2hydra.composition.compose import compose as compose
    from gpt2hydra.composition.instantiate import instantiate as instantiate
    from gpt2hydra.composition.schema import register_configs as register_configs
    from gpt2hydra.config.errors import ConfigError as ConfigError
    from gpt2hydra.config.errors import Violation as Violation
    from gpt2hydra.config.gpt2 import GPT2Config as GPT2Config
    from gpt2hydra.config.run import GenerateConfig as GenerateConfig
    from gpt2hydra.config.run import TrainConfig as TrainConfig
    from gpt2hydra.launch.app import main as main

from gpt2hydra.version import __version__ as __version__

_MODULES = {
    "ConfigError": "config.errors",
    "GPT2Config": "config.gpt2",
    "GenerateConfig": "config.run",
    "TrainConfig": "config.run",
    "Violation": "config.errors",
    "compose": "composition.compose",
    "huggingface": "checkpoint",
    "instantiate": "composition.instantiate",
    "main": "launch.app",
    "register_configs": "composition.schema",
    "sizing": "",
}
"""Public name → the module that defines it, or the package that contains it."""

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``GPT2Config`` needs neither Hydra nor OmegaConf."""
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = f"{__name__}.{_MODULES[name]}".rstrip(".")
    value = import_module(f"{module}.{name}") if name in ("huggingface", "sizing") else getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
