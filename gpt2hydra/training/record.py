"""The record of a run, ``run.json``: the resolved config, who set each value, versions and command. Plain JSON to read."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpt2hydra.config.checked import Checked
from gpt2hydra.config.fingerprint import fingerprints
from gpt2hydra.version import __version__

FILE = "run.json"


def write(config: Checked, folder: Path, set_by: Mapping[str, Any] | None) -> None:
    """Write ``run.json``, whole or not at all.

    Args:
        set_by: each key with its settings, the one in force first; None outside of Hydra.
    """
    record = {
        "gpt2hydra": __version__,
        "python": platform.python_version(),
        "command": sys.argv,
        "config": config.to_dict(),
        "set_by": set_by,
        "fingerprints": fingerprints(config),
    }
    unfinished = folder / f".{FILE}-unfinished"
    try:
        unfinished.write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")
        unfinished.replace(folder / FILE)
    finally:
        unfinished.unlink(missing_ok=True)
