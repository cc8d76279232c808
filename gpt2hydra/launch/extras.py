"""The extras of this package: the modules that they install, and the report if these are missing."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from gpt2hydra.config.errors import ABSENT, UsageError, Violation
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.launch.handle_errors import write_report
from gpt2hydra.utils.interruption import exiting_on_signal
from gpt2hydra.utils.verbosity import is_quiet

EXTRAS = {
    "train": ("torch", "transformers", "lightning_fabric", "safetensors", "tqdm", "matplotlib", "filelock"),
    "plot": ("matplotlib",),
    "report": ("plotly",),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
}
"""Extra → the modules that it installs and that this package imports."""


def check_extra(extra: str, key: str = "", value: object = ABSENT) -> list[Violation]:
    """Return the violation if an extra is not installed, with the command that installs it.

    Args:
        key: the key or option that needs the extra; by default the violation names the missing modules.
    """
    absent = absent_modules(extra)
    if not absent:
        return []
    what = f"needs {', '.join(absent)}, not installed" if key else "is not installed"
    return [Violation(key or ", ".join(absent), value, f"{what}; type: {install_command(extra)}")]


def require_extra(extra: str) -> None:
    """Require that an extra is installed.

    Raises:
        UsageError: it is not installed.
    """
    problems = check_extra(extra)
    if problems:
        raise UsageError(problems, "the installation")


def absent_modules(extra: str) -> list[str]:
    """Return the modules of an extra that are not installed."""
    return [module for module in EXTRAS.get(extra, ()) if find_spec(module) is None]


@contextmanager
def importing_pytorch() -> Iterator[None]:
    """Context manager for the import of PyTorch, which takes seconds: announce it; a signal ends the process.

    The imported modules are no garbage. So the collector, which would spend a seventh of the time on them, is
    off during the import, and ignores them later.
    """
    if "torch" not in sys.modules and not is_quiet():
        announcement = "importing PyTorch ..."
        write_report(f"{announcement}\n", {"note": announcement})
    gc.disable()
    try:
        with exiting_on_signal():
            yield
    finally:
        gc.freeze()
        gc.enable()


def install_command(extra: str) -> str:
    """Return the ``pip`` command that installs an extra of this checkout, or of the installed package."""
    checkout = CONF_DIR.parent
    is_checkout = (checkout / "pyproject.toml").is_file()
    return f"pip install -e '{checkout}[{extra}]'" if is_checkout else f"pip install 'gpt2hydra[{extra}]'"
