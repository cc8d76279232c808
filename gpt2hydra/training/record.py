"""The record of a run, ``run.json``: the resolved config, who set each value, versions and command. Plain JSON to read."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig

from gpt2hydra.config.checked import Checked
from gpt2hydra.version import __version__

if TYPE_CHECKING:
    from gpt2hydra.composition.provenance import Provenance

FILE = "run.json"

JOB: ContextVar[Checked | None] = ContextVar("gpt2hydra_job", default=None)
"""The config that Hydra composed for the job that is running here."""


@contextmanager
def job(config: Checked) -> Iterator[Checked]:
    """Within, ``config`` is known to be what Hydra composed for the running job."""
    token = JOB.set(config)
    try:
        yield config
    finally:
        JOB.reset(token)


def write(config: Checked, folder: Path) -> None:
    """Write ``run.json``, whole or not at all.

    ``set_by`` maps each key to its settings, the one in force first; it is null outside of Hydra.
    """
    record = {
        "gpt2hydra": __version__,
        "python": platform.python_version(),
        "command": sys.argv,
        "config": config.to_dict(),
        "set_by": _settings(config),
    }
    unfinished = folder / f".{FILE}-unfinished"
    try:
        unfinished.write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")
        unfinished.replace(folder / FILE)
    finally:
        unfinished.unlink(missing_ok=True)


def _settings(config: Checked) -> dict[str, Any] | None:
    if JOB.get() is not config or not HydraConfig.initialized():
        return None
    return {
        key: [{"value": each.value, "source": each.source} for each in reversed(chain)]
        for key, chain in _provenance().settings.items()
    }


def _provenance() -> Provenance:
    """Of the job that runs, traced from what Hydra knows of it, in whatever process a launcher runs it."""
    from gpt2hydra.composition.composer import Composer, task_overrides
    from gpt2hydra.composition.provenance import trace

    composer = Composer.of_running_job()
    return trace(composer.loader, composer.config_name, task_overrides(HydraConfig.get()))
