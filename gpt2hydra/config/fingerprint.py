"""The fingerprint of a configuration: 16 hex digits of what affects its result. Standard library only.

Two runs with the same fingerprint train the same model on a text of the same name. A field that does not
affect the result is declared so:
``integer(10, "steps between two rows of the loss table", affects_result=False)``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from gpt2hydra.config.keys import field_at, fields_of, is_section, section_classes, values_of


def affects_result(config_class: type[Any], key: str) -> bool:
    """Whether the value under a dotted key affects the result; true for an unknown key."""
    name, _, rest = key.partition(".")
    field = field_at(config_class, name)
    if field is None:
        return True
    if not (field.init and field.metadata.get("affects_result", True)):
        return False
    nested = next((each for each in section_classes(field) if rest and field_at(each, rest) is not None), None)
    return affects_result(nested, rest) if nested is not None else True


def result_values(config: Any) -> dict[str, Any]:
    """Dotted key → value of everything that affects the result: no device, no interval, no computed value."""
    return dict(_result_values(config))


def _result_values(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    fields = {field.name: field for field in fields_of(type(config))}
    for key, value in values_of(config).items():
        field = fields.get(key)
        if field is not None and not (field.init and field.metadata.get("affects_result", True)):
            continue
        if field is not None and section_classes(field) and value is not None:
            yield from _result_values(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def fingerprint(config: Any) -> str:
    """16 hex digits of the SHA-256 of :func:`result_values` as ASCII JSON, keys sorted, floats by ``repr``.

    It is the same on every machine, in every process and Python version, and for any order of the fields.
    """
    values = {key: _to_jsonable(value) for key, value in result_values(config).items()}
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:16]


def _to_jsonable(value: Any) -> Any:
    """A value as JSON takes it: 0.0 for -0.0, dictionaries for mappings and sections."""
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, Mapping):
        return {str(key): _to_jsonable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_jsonable(each) for each in value]
    return _to_jsonable(result_values(value)) if is_section(value) else value


def fingerprints(config: Any) -> dict[str, str]:
    """The fingerprints that a record and a checkpoint hold: of the run, and of its model if it has one."""
    model = getattr(config, "model", None)
    return ({"model": fingerprint(model)} if dataclasses.is_dataclass(model) else {}) | {"run": fingerprint(config)}
