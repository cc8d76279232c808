"""The extras of this package: which modules they bring, and what is reported where they are not installed."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from gpt2hydra.config.errors import ABSENT, UsageError, Violation
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.launch.handle_errors import report_line
from gpt2hydra.utils.interruption import ending_at_once
from gpt2hydra.utils.verbosity import is_quiet

EXTRAS = {
    "train": ("torch", "transformers", "lightning_fabric", "safetensors", "tqdm", "matplotlib", "filelock"),
    "plot": ("matplotlib",),
    "report": ("plotly",),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
}
"""Extra → the modules that it brings: an absent one would stop a run, the last at its very end."""


def check_extra(extra: str, key: str = "", value: object = ABSENT) -> list[Violation]:
    """The violation of an extra that is not installed, with the command that installs it.

    Args:
        key: what asks for it; by default the absent modules themselves are named.
    """
    absent = absent_modules(extra)
    if not absent:
        return []
    what = f"needs {', '.join(absent)}, not installed" if key else "is not installed"
    return [Violation(key or ", ".join(absent), value, f"{what}; type: {install_command(extra)}")]


def require(extra: str) -> None:
    """Refuse what needs an extra that is not installed.

    Raises:
        UsageError: it is not.
    """
    problems = check_extra(extra)
    if problems:
        raise UsageError(problems, "the installation")


def absent_modules(extra: str) -> list[str]:
    """The modules of an extra that are not installed."""
    return [module for module in EXTRAS.get(extra, ()) if find_spec(module) is None]


@contextmanager
def importing_pytorch() -> Iterator[None]:
    """Around the import of PyTorch, which takes seconds: announce it, and let a signal end the process.

    Modules stay, so the garbage collector, which would look through them again and again for a seventh of the
    time, waits, and later leaves them out.
    """
    if "torch" not in sys.modules and not is_quiet():
        announcement = "importing PyTorch ..."
        report_line(f"{announcement}\n", {"note": announcement})
    gc.disable()
    try:
        with ending_at_once():
            yield
    finally:
        gc.freeze()
        gc.enable()


def install_command(extra: str) -> str:
    """What to type for an extra: of the checkout that this is, or of the package."""
    checkout = CONF_DIR.parent
    is_checkout = (checkout / "pyproject.toml").is_file()
    return f"pip install -e '{checkout}[{extra}]'" if is_checkout else f"pip install 'gpt2hydra[{extra}]'"
