"""A YAML file of ``key: value`` lines, such as ``conf/model/large.yaml``, read without Hydra and understood as Hydra would.

Standard library, and PyYAML, which OmegaConf brings.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpt2hydra.config.errors import ConfigError, Source, Violation
from gpt2hydra.config.keys import rule_at
from gpt2hydra.utils.formatting import reason_of, show
from gpt2hydra.utils.yaml_nodes import check_yaml, decimal, is_misread_number, misread_rule, yaml_loader

if TYPE_CHECKING:
    from yaml import Node


def read_flat_yaml(file: Path, config_class: type[Any], key: str) -> dict[str, Any]:
    """The values for ``config_class`` that a file holds; none if it is empty.

    Text that spells a number is one where the field is to hold one, as for OmegaConf. ``key`` is blamed where the whole
    file is wrong.

    Raises:
        ConfigError: it cannot be read, holds more than lines of ``key: value``, a key twice, a number that YAML reads
            otherwise than a person does, or what only Hydra can make something of: ``defaults``, ``${...}``.
    """
    import yaml
    from yaml.constructor import ConstructorError

    problem, line = "", None
    try:
        check_yaml(str(file))
        reader = yaml_loader()(file.read_text(encoding="utf-8"))
        root = reader.get_single_node()
        if root is None:
            return {}
        if isinstance(root, yaml.MappingNode):
            return _values(reader, root, config_class, file)
        problem = "must be a YAML file of key: value lines"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"{'' if isinstance(error, ConstructorError) else 'is not YAML: '}{error.problem}"
        line = mark.line + 1 if mark else None
    except OSError as error:
        problem = f"cannot be read: {reason_of(error)}"
    raise ConfigError([Violation(key, file.stem, problem, Source("file", str(file), line))])


def _values(reader: Any, root: Any, config_class: type[Any], file: Path) -> dict[str, Any]:
    values: dict[str, Any] = {}
    violations = []
    reader.flatten_mapping(root)  # '<<' is gone, and its keys stand before the mapping's own
    for key_node, value_node in root.value:
        key, value = str(reader.construct_object(key_node)), reader.construct_object(value_node, deep=True)
        problem = _problem(key, value_node, value)
        if problem:
            violations.append(Violation(key, value, problem, Source("file", str(file), key_node.start_mark.line + 1)))
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
    rule = rule_at(config_class, key)
    if isinstance(value, str) and rule is not None and rule.kind in (int, float):
        with contextlib.suppress(ValueError):
            return rule.kind(value)
    return value
