"""gpt2hydra: YAML into validated GPT-2 configurations, with Hydra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpt2hydra import huggingface as huggingface
    from gpt2hydra import sizing as sizing
    from gpt2hydra.app import compose as compose
    from gpt2hydra.app import main as main
    from gpt2hydra.config import GPT2Config as GPT2Config
    from gpt2hydra.rules import ConfigError as ConfigError
    from gpt2hydra.rules import Violation as Violation
    from gpt2hydra.run_config import GenerateConfig as GenerateConfig
    from gpt2hydra.run_config import TrainConfig as TrainConfig
    from gpt2hydra.schema import instantiate as instantiate
    from gpt2hydra.schema import register_configs as register_configs

__version__ = "0.1.0"

_HOMES = {
    "ConfigError": "rules",
    "GPT2Config": "config",
    "GenerateConfig": "run_config",
    "TrainConfig": "run_config",
    "Violation": "rules",
    "compose": "app",
    "huggingface": "",
    "instantiate": "schema",
    "main": "app",
    "register_configs": "schema",
    "sizing": "",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``GPT2Config`` needs neither Hydra nor OmegaConf."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    value = getattr(import_module(f"{__name__}.{home}"), name) if home else import_module(f"{__name__}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
