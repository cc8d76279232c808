"""The record of a run, ``run.json``: the resolved config, who set each value, versions and command. Plain JSON to read."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.hydra_config import HydraConfig

from gpt2hydra import __version__
from gpt2hydra.app import JOB
from gpt2hydra.provenance import Provenance, trace
from gpt2hydra.rules import Checked

FILE = "run.json"


def write(config: Checked, folder: Path) -> None:
    """Write ``run.json``. ``set_by`` maps each key to its settings, the one in force first; it is null outside of Hydra."""
    record = {
        "gpt2hydra": __version__,
        "python": platform.python_version(),
        "command": sys.argv,
        "config": config.to_dict(),
        "set_by": _settings(config),
    }
    (folder / FILE).write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")


def _settings(config: Checked) -> dict[str, Any] | None:
    if JOB.get() is not config or not HydraConfig.initialized():
        return None
    return {
        key: [{"value": each.value, "source": each.source} for each in reversed(chain)]
        for key, chain in _provenance().settings.items()
    }


def _provenance() -> Provenance:
    """Of the job that runs, traced from what Hydra knows of it, in whatever process a launcher runs it."""
    hydra = HydraConfig.get()
    search_path = ConfigSearchPathImpl()
    for source in hydra.runtime.config_sources:
        search_path.append(source.provider, f"{source.schema}://{source.path}")
    return trace(ConfigLoaderImpl(search_path), hydra.job.config_name, list(hydra.overrides.task))
