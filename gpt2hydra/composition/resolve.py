"""Resolve: the folded values as the schema's types, with what ``${...}`` refers to in their place."""

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
from gpt2hydra.composition.hydra_compat import names_no_variable, refers_to_itself
from gpt2hydra.composition.layers import Path
from gpt2hydra.config.errors import ABSENT, DELETED, Violation
from gpt2hydra.config.keys import field_at, fields_by_key, is_checked
from gpt2hydra.config.rules import Rule
from gpt2hydra.config.validation import Checked
from gpt2hydra.config.wrong_keys import missing
from gpt2hydra.utils.formatting import reason_of

_STATEFUL = re.compile(r"\$\{(?!gpt2\.|oc\.)[^${}:.]+:")
"""A resolver whose value may differ from one composition to the next; ours and OmegaConf's own do not."""


def is_stateful(value: object) -> bool:
    """Whether a value refers to more than the files and overrides: ``${now:...}``, ``${hydra:...}``."""
    return isinstance(value, (str, list, dict)) and _STATEFUL.search(str(value)) is not None


_NODES: dict[type, type[ValueNode]] = {int: IntegerNode, float: FloatNode, str: StringNode}


def converted(rule: Rule, value: Any) -> Any:
    """A value as OmegaConf converts it for a field with this rule: ``'12'`` becomes 12.

    Raises:
        Exception: it cannot hold it; OmegaConf and Python raise what they like.
    """
    if type(value) is rule.kind or rule.kind not in _NODES:
        return value
    return _node(rule.kind, rule.optional).validate_and_convert(value)


@functools.cache
def _node(kind: type, optional: bool) -> ValueNode:
    return _NODES[kind](None if optional else kind(), is_optional=optional)  # type: ignore[call-arg]


@dataclass
class Resolved:
    """The values in force, nested, but for those that were known before."""

    values: dict[str, Any] = field(default_factory=dict)
    plain: dict[Path, Any] = field(default_factory=dict)
    """The leaves that refer to nothing."""
    references: dict[Path, str | list[Any]] = field(default_factory=dict)
    """The leaves that refer to others, as they were written."""
    broken: dict[str, Violation] = field(default_factory=dict)
    """By key, why a value cannot be resolved."""
    unresolved: frozenset[str] = frozenset()
    """The keys of those that Hydra alone can resolve."""


def resolve(folded: Fold, root: type[Checked], known: Mapping[Path, Any] = MappingProxyType({})) -> Resolved:
    """Resolve all values, but for those of sections that are ``known``, which others may refer to."""
    found, fields, sections = Resolved(plain={**known}), fields_by_key(root), {path[0] for path in known}
    for path, chain in folded.chains.items():
        if path[0] in sections:
            continue
        last = chain[-1]
        value, field = last.value, fields.get(last.key)
        if value is DELETED:
            continue
        if field is not None and "computed" in field.metadata and last.source.kind == "default":
            continue
        if isinstance(value, (str, list)) and "${" in str(value):
            found.references[path] = value
        elif isinstance(value, str) and value == MISSING and is_checked(root, last.key):
            found.broken[last.key] = _missing(root, last.key)
        else:
            rule = field.metadata.get("rule") if field is not None else None
            found.plain[path] = converted(rule, value) if rule is not None else value
            _put(found.values, path, found.plain[path])
    for path in folded.sections:
        if path and path[0] not in sections and dotted(path) in fields:
            _put(found.values, path, {}, keep=True)
    if any(map(is_stateful, found.references.values())):  # the others may refer to one of these
        found.unresolved = frozenset(map(dotted, found.references))
    else:
        _follow_references(found, folded, root)
    return found


def _follow_references(found: Resolved, folded: Fold, root: type[Checked]) -> None:
    """Put what each reference refers to into the values: a plain value at once, all else by OmegaConf."""
    tree: DictConfig | None = None
    for path, written in found.references.items():
        key = dotted(path)
        field = field_at(root, key)
        rule = field.metadata.get("rule") if field is not None else None
        target = _PLAIN.fullmatch(written) if isinstance(written, str) else None
        if target is not None and (place := tuple(split_key(target[1]))) in found.plain:
            value = found.plain[place]
        else:
            tree = tree if tree is not None else tree_of(folded, found.plain)
            parent = functools.reduce(lambda node, part: node[part], path[:-1], tree)
            value = resolve_key(parent, path[-1], key, root, found.broken)
        if value is ABSENT:
            continue
        try:
            _put(found.values, path, converted(rule, value) if rule is not None else value)
        except Exception:  # OmegaConf raises what it likes
            found.broken[key] = Violation(key, written, f"must be {rule}, which what it refers to is not")


_PLAIN = re.compile(r"\$\{([a-zA-Z_]\w*(?:\.\w+)*)\}")


def tree_of(folded: Fold, plain: Mapping[Path, Any] = MappingProxyType({})) -> DictConfig:
    """All values for OmegaConf: those that refer to others as they were written."""
    values: dict[str, Any] = {}
    for path, chain in folded.chains.items():
        if chain[-1].value is not DELETED:
            _put(values, path, plain.get(path, chain[-1].value))
    return OmegaConf.create(values)


def _put(values: dict[Any, Any], path: Path, value: Any, *, keep: bool = False) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
    if keep:
        values.setdefault(path[-1], value)
    else:
        values[path[-1]] = value


# ------------------------------------------------------------------------------------------- of a config, key by key


def resolve_key(config: Any, key: Any, path: str, root: type[Checked], broken: dict[str, Violation]) -> Any:
    """The value under ``key`` with every leaf that cannot be had put into ``broken`` instead."""
    try:
        node = config[key]
    except Exception as error:  # resolvers raise what they like
        return _broken(config, key, path, root, broken, error)
    if isinstance(node, DictConfig):
        return {str(name): resolve_key(node, name, f"{path}.{name!s}", root, broken) for name in node}
    if isinstance(node, ListConfig):
        try:
            return OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
        except Exception as error:
            return _broken(config, key, path, root, broken, error)
    return node


def _broken(config: Any, key: Any, path: str, root: type[Checked], broken: dict[str, Violation], error: Exception) -> Any:
    """ABSENT, and the violation; of what no class checks, the value as it was written."""
    if not is_checked(root, path):
        return _written(config, key)
    broken[path] = _unresolvable(config, key, path, root, error)
    return ABSENT


def _written(config: Any, key: Any) -> Any:
    return OmegaConf.to_container(config, resolve=False)[key]  # type: ignore[index]


def _missing(root: type[Checked], key: str) -> Violation:
    field = field_at(root, key)
    return Violation(key, "???", "must be given") if field is None else missing(key, field)


def _unresolvable(config: DictConfig, key: Any, path: str, root: type[Checked], error: Exception) -> Violation:
    field = field_at(root, path)
    raw = _written(config, key)
    if isinstance(error, MissingMandatoryValue):
        return _missing(root, path)
    if isinstance(error, InterpolationValidationError) and field is not None and "rule" in field.metadata:
        rule = f"must be {field.metadata['rule']}, which what it refers to is not"
    elif isinstance(error, InterpolationToMissingValueError):
        rule = "refers to a value that is not given"
    elif isinstance(error, InterpolationKeyError):
        rule = "refers to a key that does not exist"
    elif refers_to_itself(error):
        rule = "refers to itself"
    elif names_no_variable(error):
        rule = "refers to an environment variable that is not set"
    else:
        rule = f"cannot be resolved: {reason_of(error)}"
    return Violation(path, raw, rule)
