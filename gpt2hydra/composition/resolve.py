"""Resolve: the folded values as the schema's types, with what ``${...}`` refers to in their place."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
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
from gpt2hydra.config.keys import field_at, is_checked
from gpt2hydra.config.rules import Rule
from gpt2hydra.config.validation import Checked, missing
from gpt2hydra.utils.formatting import reason_of

_STATEFUL = re.compile(r"\$\{(?!gpt2\.|oc\.)[^${}:.]+:")
"""A resolver whose value may differ from one composition to the next; ours and OmegaConf's own do not."""


def is_stateful(value: object) -> bool:
    """Whether a value refers to more than the files and overrides: ``${now:...}``, ``${hydra:...}``."""
    return isinstance(value, (str, list, dict)) and _STATEFUL.search(str(value)) is not None


_NODES: dict[type, type[ValueNode]] = {int: IntegerNode, float: FloatNode, str: StringNode}


def converted(rule: Rule, value: Any) -> Any:
    """What OmegaConf makes of a value for a field with this rule: ``'12'`` becomes 12. A flag it takes as it is.

    Raises:
        Exception: it cannot hold it; OmegaConf and Python raise what they like.
    """
    if type(value) is rule.kind or rule.kind not in _NODES:
        return value
    return _node(rule.kind, rule.optional).validate_and_convert(value)


@functools.cache
def _node(kind: type, optional: bool) -> ValueNode:
    return _NODES[kind](None if optional else kind(), is_optional=optional)  # type: ignore[call-arg]


def resolve(folded: Fold, root: type[Checked]) -> tuple[dict[str, Any], dict[str, Violation], frozenset[str]]:
    """The nested values in force; by key, why others cannot be resolved; and the keys of those that Hydra alone can resolve."""
    values: dict[str, Any] = {}
    plain: dict[Path, Any] = {}
    references: dict[Path, str | list[Any]] = {}
    broken: dict[str, Violation] = {}
    for path, chain in folded.chains.items():
        value, field = chain[-1].value, field_at(root, chain[-1].key)
        if value is DELETED or (field is not None and "computed" in field.metadata and chain[-1].source.kind == "default"):
            continue
        if isinstance(value, (str, list)) and "${" in str(value):
            references[path] = value
        elif isinstance(value, str) and value == MISSING and is_checked(root, chain[-1].key):
            broken[chain[-1].key] = _missing(root, chain[-1].key)
        else:
            rule = field.metadata.get("rule") if field is not None else None
            plain[path] = converted(rule, value) if rule is not None else value
    for path, value in plain.items():
        _put(values, path, value)
    for path in folded.sections:
        if path and field_at(root, dotted(path)) is not None:
            _put(values, path, {}, keep=True)
    if any(map(is_stateful, references.values())):  # the others may refer to one of these
        return values, broken, frozenset(map(dotted, references))
    if references:
        _resolve(folded, root, values, plain, references, broken)
    return values, broken, frozenset()


def _resolve(
    folded: Fold,
    root: type[Checked],
    values: dict[str, Any],
    plain: Mapping[Path, Any],
    references: Mapping[Path, str | list[Any]],
    broken: dict[str, Violation],
) -> None:
    """Put what each reference refers to into ``values``: a plain value at once, all else by OmegaConf."""
    tree: DictConfig | None = None
    for path, written in references.items():
        key = dotted(path)
        field = field_at(root, key)
        rule = field.metadata.get("rule") if field is not None else None
        target = _PLAIN.fullmatch(written) if isinstance(written, str) else None
        if target is not None and (found := tuple(split_key(target[1]))) in plain:
            value = plain[found]
        else:
            tree = tree if tree is not None else tree_of(folded, plain)
            value = resolved(functools.reduce(lambda node, part: node[part], path[:-1], tree), path[-1], key, root, broken)
        if value is ABSENT:
            continue
        try:
            _put(values, path, converted(rule, value) if rule is not None else value)
        except Exception:  # OmegaConf raises what it likes
            broken[key] = Violation(key, written, f"must be {rule}, which what it refers to is not")


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


def resolved(config: Any, key: Any, path: str, root: type[Checked], broken: dict[str, Violation]) -> Any:
    """The value under ``key`` with every leaf that cannot be had put into ``broken`` instead."""
    try:
        node = config[key]
    except Exception as error:  # resolvers raise what they like
        return _broken(config, key, path, root, broken, error)
    if isinstance(node, DictConfig):
        return {str(name): resolved(node, name, f"{path}.{name!s}", root, broken) for name in node}
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
