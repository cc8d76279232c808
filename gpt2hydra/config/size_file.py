"""Read a size in ``conf/model/``: ``key: value`` lines of YAML, with the values that Hydra would read.

Needs the standard library and PyYAML, which is installed with OmegaConf.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from gpt2hydra.config.errors import ConfigError, Source, Violation
from gpt2hydra.config.keys import rule_at
from gpt2hydra.utils.formatting import error_reason, format_value
from gpt2hydra.utils.yaml_nodes import YamlValue, decimal, is_misread_number, misread_rule, read_yaml, strip_lines


def read_size(file: Path, config_class: type[Any]) -> dict[str, Any]:
    """The values for ``config_class`` in a file; empty if the file is empty.

    Raises:
        ConfigError: the file cannot be read, holds anything except lines of ``key: value``, a key twice, a
            number that YAML misreads, or what only Hydra can resolve: ``defaults``, ``${...}``.
    """
    line = None
    try:
        lines = read_yaml(str(file)).value
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"{'' if isinstance(error, ConstructorError) else 'is not YAML: '}{error.problem}"
        line = mark.line + 1 if mark else None
    except OSError as error:
        problem = f"cannot be read: {error_reason(error)}"
    else:
        if lines is None or isinstance(lines, dict):
            return _values(lines or {}, config_class, file)
        problem = "must be a YAML file of key: value lines"
    raise ConfigError([Violation("model", file.stem, problem, Source("file", str(file), line))])


def _values(lines: dict[Any, YamlValue], config_class: type[Any], file: Path) -> dict[str, Any]:
    violations = [
        Violation(str(key), strip_lines(each), problem, Source("file", str(file), each.line))
        for key, each in lines.items()
        if (problem := _find_problem(key, each))
    ]
    if violations:
        raise ConfigError(violations)
    return {str(key): _as_number(config_class, str(key), strip_lines(each)) for key, each in lines.items()}


def _find_problem(key: object, written: YamlValue) -> str:
    text, value = written.text, written.value
    if key == "defaults" or (isinstance(value, str) and "${" in value):
        return "needs Hydra; use gpt2hydra.compose()"
    if text is not None and is_misread_number(text) and format_value(value) != decimal(text):
        return misread_rule(text, value)
    return ""


def _as_number(config_class: type[Any], key: str, value: object) -> object:
    """Text as a number, if the field holds numbers, as in OmegaConf: YAML 1.1 reads ``1e-5`` as text."""
    rule = rule_at(config_class, key)
    if isinstance(value, str) and rule is not None and rule.kind in (int, float):
        with contextlib.suppress(ValueError):
            return rule.kind(value)
    return value
