"""A YAML file of ``key: value`` lines, such as ``conf/model/large.yaml``, read without Hydra and understood as Hydra would.

Standard library, and PyYAML, which OmegaConf brings.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpt2hydra.config.errors import ConfigError, Source, Violation
from gpt2hydra.config.fields import Rule
from gpt2hydra.config.keys import field_at
from gpt2hydra.config.words import show

if TYPE_CHECKING:
    from yaml import Node

OCTAL = r"[-+]?0[0-9_]+"
SEXAGESIMAL = r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
_MISREAD_NUMBER = re.compile(f"{OCTAL}|{SEXAGESIMAL}")  # YAML 1.1, yaml.org/type/int.html and float.html


def is_misread_number(written: str) -> bool:
    """Whether YAML 1.1 takes the text for a number of base 8 or 60."""
    return _MISREAD_NUMBER.fullmatch(written) is not None


def decimal(written: str) -> str:
    """``012`` → ``12``; nothing where no decimal number was meant."""
    return "" if ":" in written else str(int(written.replace("_", "")))  # int('012') is 12


def misread_rule(written: str, value: object) -> str:
    """What is said of a number that YAML reads otherwise than it was meant."""
    return f"YAML reads it as {show(value)}; in the file, write {decimal(written) or value}"


def read_flat_yaml(file: Path, config_class: type[Any], key: str) -> dict[str, Any]:
    """The values for ``config_class`` that a file holds; none if it is empty.

    Text that spells a number is one where the field is to hold one, as for OmegaConf. ``key`` is blamed where the whole
    file is wrong.

    Raises:
        ConfigError: it cannot be read, holds more than lines of ``key: value``, a key twice, a number that YAML misreads, or
            what only Hydra can make something of: ``defaults``, ``${...}``.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    problem, line = "", None
    try:
        reader = loader(file.read_text(encoding="utf-8"))
        root = reader.get_single_node()
        if root is None:
            return {}
        if isinstance(root, yaml.MappingNode):
            return _values(reader, root, config_class, file)
        problem = "must be a YAML file of key: value lines"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem, line = f"is not YAML: {error.problem}", mark.line + 1 if mark else None
    except yaml.YAMLError as error:
        problem = "is not YAML: " + str(error).partition("\n")[0]
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8: byte {error.start:,}"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    raise ConfigError([Violation(key, file.stem, problem, Source("file", str(file), line))])


def _values(reader: Any, root: Any, config_class: type[Any], file: Path) -> dict[str, Any]:
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    violations = []
    for key_node, value_node in root.value:
        key, line = str(reader.construct_object(key_node)), key_node.start_mark.line + 1
        value = reader.construct_object(value_node, deep=True)
        problem = f"stands twice, first in line {lines[key]}" if key in lines else _problem(key, value_node, value)
        if problem:
            violations.append(Violation(key, value, problem, Source("file", str(file), line)))
        lines.setdefault(key, line)
        values[key] = _as_number(config_class, key, value)
    if violations:
        raise ConfigError(violations)
    return values


def _problem(key: str, node: Node, value: object) -> str:
    from yaml import ScalarNode

    if key == "defaults" or (isinstance(value, str) and "${" in value):
        return "is for Hydra to read: gpt2hydra.compose()"
    if isinstance(node, ScalarNode) and not node.style and is_misread_number(node.value) and show(value) != decimal(node.value):
        return misread_rule(node.value, value)
    return ""


def _as_number(config_class: type[Any], key: str, value: object) -> object:
    """Text as the number that it spells, if the field holds numbers: ``1e-5`` is text for YAML 1.1."""
    field = field_at(config_class, key)
    rule: Rule | None = field.metadata.get("rule") if field is not None else None
    if isinstance(value, str) and rule is not None and rule.kind in (int, float):
        with contextlib.suppress(ValueError):
            return rule.kind(value)
    return value
