"""A size in ``conf/model/``: ``key: value`` lines of YAML, read without Hydra, and understood as it would.

Standard library, and PyYAML, which OmegaConf brings.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from gpt2hydra.config.errors import ConfigError, Source, Violation
from gpt2hydra.config.keys import rule_at
from gpt2hydra.utils.formatting import reason_of, show
from gpt2hydra.utils.yaml_nodes import Written, decimal, is_misread_number, misread_rule, plain, read_yaml


def read_size(file: Path, config_class: type[Any]) -> dict[str, Any]:
    """The values for ``config_class`` that a file holds; none if it is empty.

    Raises:
        ConfigError: it cannot be read, holds more than lines of ``key: value``, a key twice, a number that
            YAML reads otherwise than a person does, or what only Hydra can make something of: ``defaults``,
            ``${...}``.
    """
    line = None
    try:
        lines = read_yaml(str(file)).value
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"{'' if isinstance(error, ConstructorError) else 'is not YAML: '}{error.problem}"
        line = mark.line + 1 if mark else None
    except OSError as error:
        problem = f"cannot be read: {reason_of(error)}"
    else:
        if lines is None or isinstance(lines, dict):
            return _values(lines or {}, config_class, file)
        problem = "must be a YAML file of key: value lines"
    raise ConfigError([Violation("model", file.stem, problem, Source("file", str(file), line))])


def _values(lines: dict[Any, Written], config_class: type[Any], file: Path) -> dict[str, Any]:
    violations = [
        Violation(str(key), plain(each), problem, Source("file", str(file), each.line))
        for key, each in lines.items()
        if (problem := _problem(key, each))
    ]
    if violations:
        raise ConfigError(violations)
    return {str(key): _as_number(config_class, str(key), plain(each)) for key, each in lines.items()}


def _problem(key: object, written: Written) -> str:
    text, value = written.text, written.value
    if key == "defaults" or (isinstance(value, str) and "${" in value):
        return "is for Hydra to read: gpt2hydra.compose()"
    if text is not None and is_misread_number(text) and show(value) != decimal(text):
        return misread_rule(text, value)
    return ""


def _as_number(config_class: type[Any], key: str, value: object) -> object:
    """Text as the number that it spells, if the field holds numbers, as for OmegaConf: ``1e-5`` is text for YAML 1.1."""
    rule = rule_at(config_class, key)
    if isinstance(value, str) and rule is not None and rule.kind in (int, float):
        with contextlib.suppress(ValueError):
            return rule.kind(value)
    return value
