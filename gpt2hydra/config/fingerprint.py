"""The fingerprint of a configuration: 16 hex digits of what decides its result. Standard library only.

Two runs with one fingerprint train the same model on a text of the same name. What a field does to the result is said where the
field is declared: ``integer(10, "steps between two rows of the loss table", ..., decides=False)``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any


def decisive(config: Any) -> dict[str, Any]:
    """Dotted key → value of everything in a ``Checked`` that decides the result: no device, no interval, nothing computed."""
    return dict(_decisive(config, ""))


def _decisive(config: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(config):
        if not field.init or not field.metadata.get("decides", True):
            continue
        value = getattr(config, field.name)
        if "section" in field.metadata:
            yield from _decisive(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", value


def fingerprint(config: Any) -> str:
    """The first 16 hex digits of the SHA-256 of :func:`decisive` as JSON, keys sorted, floats by ``repr``, all in ASCII.

    The same on every machine, in every process and Python, and in whatever order the fields are declared.
    """
    values = {key: value + 0.0 if isinstance(value, float) else value for key, value in decisive(config).items()}  # no -0.0
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:16]


def fingerprints(config: Any) -> dict[str, str]:
    """What a record and a checkpoint carry: that of the run, and that of its model where it has one."""
    model = getattr(config, "model", None)
    return ({"model": fingerprint(model)} if dataclasses.is_dataclass(model) else {}) | {"run": fingerprint(config)}
