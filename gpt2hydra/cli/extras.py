"""The extras of this package: which modules they bring, and what is said where they are not installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from gpt2hydra.config.gpt2 import CONF_DIR

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
