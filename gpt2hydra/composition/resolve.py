"""Resolve a fold: convert its values to the schema's types, and replace each ``${...}`` by its target."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from omegaconf import MISSING, DictConfig, FloatNode, IntegerNode, ListConfig, OmegaConf, StringNode, ValueNode
from omegaconf.errors import (
    InterpolationKeyError,
    InterpolationToMissingValueError,
    InterpolationValidationError,
    MissingMandatoryValue,
)

from gpt2hydra.composition.fold import Fold, dotted, split_key
from gpt2hydra.composition.hydra_compat import is_missing_variable, refers_to_itself
from gpt2hydra.composition.layers import KeyPath
from gpt2hydra.config.errors import ABSENT, DELETED, Violation
from gpt2hydra.config.keys import field_at, fields_by_key, is_in_checked_section
from gpt2hydra.config.validation import Checked
from gpt2hydra.config.value_rules import Rule
from gpt2hydra.config.wrong_keys import missing_key
from gpt2hydra.utils.formatting import error_reason

_STATEFUL = re.compile(r"\$\{(?!gpt2\.|oc\.)[^${}:.]+:")
"""A resolver whose value may differ between compositions; the values of ours and OmegaConf's own do not."""


def is_stateful(value: object) -> bool:
    """Return whether a value depends on more than files and overrides: ``${now:...}``, ``${hydra:...}``."""
    return isinstance(value, (str, list, dict)) and _STATEFUL.search(str(value)) is not None


_NODES: dict[type, type[ValueNode]] = {int: IntegerNode, float: FloatNode, str: StringNode}


def convert(rule: Rule, value: Any) -> Any:
    """Convert a value, except a flag, as OmegaConf does for a field with this rule: ``'12'`` becomes 12.

    Raises:
        Exception: the value cannot be converted; OmegaConf and Python may raise anything.
    """
    if type(value) is rule.kind or rule.kind not in _NODES:
        return value
    return _node(rule.kind, rule.optional).validate_and_convert(value)


@functools.cache
def _node(kind: type, optional: bool) -> ValueNode:
    return _NODES[kind](None if optional else kind(), is_optional=optional)  # type: ignore[call-arg]


@dataclass
class Resolved:
    """The nested values in force, without those that were known before."""

    values: dict[str, Any] = field(default_factory=dict)
    plain: dict[KeyPath, Any] = field(default_factory=dict)
    """The leaves without references."""
    references: dict[KeyPath, str | list[Any]] = field(default_factory=dict)
    """The leaves with references, as written."""
    broken: dict[str, Violation] = field(default_factory=dict)
    """Key → violation of a value that cannot be resolved."""
    unresolved: frozenset[str] = frozenset()
    """The keys that only Hydra can resolve."""


def resolve(folded: Fold, root: type[Checked], known: Mapping[KeyPath, Any] = MappingProxyType({})) -> Resolved:
    """Resolve all values except sections in ``known``, to which references may refer."""
    found, fields, sections = Resolved(plain={**known}), fields_by_key(root), {path[0] for path in known}
    for path, history in folded.settings.items():
        if path[0] in sections:
            continue
        last = history[-1]
        value, field = last.value, fields.get(last.key)
        if value is DELETED:
            continue
        if field is not None and "computed" in field.metadata and last.source.kind == "default":
            continue
        if isinstance(value, (str, list)) and "${" in str(value):
            found.references[path] = value
        elif isinstance(value, str) and value == MISSING and is_in_checked_section(root, last.key):
            found.broken[last.key] = missing_violation(root, last.key)
        else:
            rule = field.metadata.get("rule") if field is not None else None
            found.plain[path] = convert(rule, value) if rule is not None else value
            _put(found.values, path, found.plain[path])
    for path in folded.sections:
        if path and path[0] not in sections and dotted(path) in fields:
            _put(found.values, path, {}, keep=True)
    if any(map(is_stateful, found.references.values())):  # other references may depend on one of these
        found.unresolved = frozenset(map(dotted, found.references))
    else:
        _follow_references(found, folded, root)
    return found


def _follow_references(found: Resolved, folded: Fold, root: type[Checked]) -> None:
    """Put the target of each reference into the values: a leaf directly, everything else by OmegaConf."""
    tree: DictConfig | None = None
    for path, written in found.references.items():
        key = dotted(path)
        field = field_at(root, key)
        rule = field.metadata.get("rule") if field is not None else None
        target = _REFERENCE.fullmatch(written) if isinstance(written, str) else None
        if target is not None and (place := tuple(split_key(target[1]))) in found.plain:
            value = found.plain[place]
        else:
            tree = tree if tree is not None else tree_of(folded, found.plain)
            parent = functools.reduce(lambda node, part: node[part], path[:-1], tree)
            value = resolve_key(parent, path[-1], key, root, found.broken)
        if value is ABSENT:
            continue
        try:
            _put(found.values, path, convert(rule, value) if rule is not None else value)
        except Exception:  # OmegaConf may raise anything
            found.broken[key] = Violation(key, written, f"must be {rule}, but the value that it refers to is not")


_REFERENCE = re.compile(r"\$\{([a-zA-Z_]\w*(?:\.\w+)*)\}")


def tree_of(folded: Fold, plain: Mapping[KeyPath, Any] = MappingProxyType({})) -> DictConfig:
    """Return all values as an OmegaConf config; references stay as written."""
    values: dict[str, Any] = {}
    for path, history in folded.settings.items():
        if history[-1].value is not DELETED:
            _put(values, path, plain.get(path, history[-1].value))
    return OmegaConf.create(values)


def _put(values: dict[Any, Any], path: KeyPath, value: Any, *, keep: bool = False) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
    if keep:
        values.setdefault(path[-1], value)
    else:
        values[path[-1]] = value


# --------------------------------------------------------------------------------------- the values of a config by key


def resolve_key(config: Any, key: Any, path: str, root: type[Checked], broken: dict[str, Violation]) -> Any:
    """Return the resolved value of ``key``; leaves that cannot be resolved are in ``broken`` instead."""
    try:
        node = config[key]
    except Exception as error:  # resolvers may raise anything
        return _record_broken(config, key, path, root, broken, error)
    if isinstance(node, DictConfig):
        return {str(name): resolve_key(node, name, f"{path}.{name!s}", root, broken) for name in node}
    if isinstance(node, ListConfig):
        try:
            return OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
        except Exception as error:
            return _record_broken(config, key, path, root, broken, error)
    return node


def _record_broken(
    config: Any, key: Any, path: str, root: type[Checked], broken: dict[str, Violation], error: Exception
) -> Any:
    """Add the violation and return ABSENT; return the value as written if no class checks it."""
    if not is_in_checked_section(root, path):
        return _written(config, key)
    broken[path] = _reference_violation(config, key, path, root, error)
    return ABSENT


def _written(config: Any, key: Any) -> Any:
    return OmegaConf.to_container(config, resolve=False)[key]  # type: ignore[index]


def missing_violation(root: type[Checked], key: str) -> Violation:
    """Return the violation of a key whose value is ``???``."""
    field = field_at(root, key)
    return Violation(key, "???", "must be given") if field is None else missing_key(key, field)


def _reference_violation(config: DictConfig, key: Any, path: str, root: type[Checked], error: Exception) -> Violation:
    field = field_at(root, path)
    raw = _written(config, key)
    if isinstance(error, MissingMandatoryValue):
        return missing_violation(root, path)
    if isinstance(error, InterpolationValidationError) and field is not None and "rule" in field.metadata:
        rule = f"must be {field.metadata['rule']}, but the value that it refers to is not"
    elif isinstance(error, InterpolationToMissingValueError):
        rule = "refers to a value that is not given"
    elif isinstance(error, InterpolationKeyError):
        rule = "refers to a key that does not exist"
    elif refers_to_itself(error):
        rule = "refers to itself"
    elif is_missing_variable(error):
        rule = "refers to an environment variable that is not set"
    else:
        rule = f"cannot be resolved: {error_reason(error)}"
    return Violation(path, raw, rule)
