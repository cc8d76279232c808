"""The fingerprint of a configuration: 16 hex digits of what decides its result. Standard library only.

Two runs with one fingerprint train the same model on a text of the same name. What a field does to the result is said where the
field is declared: ``integer(10, "steps between two rows of the loss table", ..., affects_result=False)``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from gpt2hydra.config.keys import fields_of, leaves


def keys_that_affect_result(config_class: type[Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys of a ``Checked`` class that decide the result: no device, no interval, nothing computed."""
    for field in fields_of(config_class):
        if "section" in field.metadata and field.metadata.get("affects_result", True):
            yield from keys_that_affect_result(field.metadata["section"], f"{prefix}{field.name}.")
        elif field.init and field.metadata.get("affects_result", True):
            yield f"{prefix}{field.name}"


def result_values(config: Any) -> dict[str, Any]:
    """The value of each of the :func:`keys_that_affect_result` of a ``Checked``."""
    values = dict(leaves(config))
    return {key: values[key] for key in keys_that_affect_result(type(config))}


def fingerprint(config: Any) -> str:
    """The first 16 hex digits of the SHA-256 of :func:`result_values` as JSON, keys sorted, floats by ``repr``, all in ASCII.

    The same on every machine, in every process and Python, and in whatever order the fields are declared.
    """
    values = {
        key: value + 0.0 if isinstance(value, float) else value for key, value in result_values(config).items()
    }  # no -0.0
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:16]


def fingerprints(config: Any) -> dict[str, str]:
    """What a record and a checkpoint carry: that of the run, and that of its model where it has one."""
    model = getattr(config, "model", None)
    return ({"model": fingerprint(model)} if dataclasses.is_dataclass(model) else {}) | {"run": fingerprint(config)}
