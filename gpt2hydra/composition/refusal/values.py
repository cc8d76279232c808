"""Values over the merged files: which of them the schema cannot hold, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from gpt2hydra.composition.gate import CANNOT_BE_DELETED
from gpt2hydra.composition.hydra_compat import apply_override
from gpt2hydra.config.errors import ABSENT, Violation, command_line
from gpt2hydra.config.keys import field_at, keys_of
from gpt2hydra.config.rules import Rule
from gpt2hydra.config.unknown_keys import unknown_below
from gpt2hydra.config.validation import Checked, computed_rule
from gpt2hydra.utils.quoting import RawOverride


def apply(config: DictConfig, override: Override, root: type[Checked], groups: list[str]) -> Iterator[Violation]:
    """Apply one override, a mapping key by key, and report what cannot be."""
    key, value = override.key_or_group, override.value()
    field = field_at(root, key)
    if override.is_delete() or not isinstance(value, Mapping):
        if _must_not(field, override) or not _applied(override, config):
            yield cannot_be(root, key, value, groups, override)
    elif not value and (field is None or "section" not in field.metadata):
        yield cannot_be(root, key, value, groups, override)
    for each, part in leaves_of(value, f"{key}.") if isinstance(value, Mapping) else ():
        if field_at(root, each) is None or not merged(config, each, part):
            yield cannot_be(root, each, part, groups, override)


def _must_not(field: dataclasses.Field[Any] | None, override: Override) -> bool:
    """Whether Hydra would let an override pass that has no meaning here."""
    return field is None or override.is_delete() or (override.is_add() and "computed" in field.metadata)


def _applied(override: Override, config: DictConfig) -> bool:
    try:
        apply_override(override, config)
    except Exception:
        return False
    return True


def merged(config: DictConfig, key: str, value: Any) -> bool:
    """Set one value as a merge would; whether that could be."""
    try:
        config.merge_with(nested(key, value))
    except Exception:
        return False
    return True


def cannot_be(root: type[Checked], key: str, value: Any, groups: list[str], override: Override | None = None) -> Violation:
    """The violation of a value that the schema does not take, from a file or from ``override``."""
    source, field = command_line(override.input_line) if override else None, field_at(root, key)
    if override is not None and override.is_delete():
        rule = CANNOT_BE_DELETED if field is not None else "cannot be deleted: there is no such key"
        return Violation(key, rule=rule, source=source)
    if override is None and key in groups and isinstance(value, str):
        rule = (
            f"is a choice; it stands in the defaults list: '- {key}: {value}', or '- override /{key}: {value}' in an experiment"
        )
        return Violation(key, value, rule)
    if field is None:
        return dataclasses.replace(unknown_below(root, key, value, groups), source=source)
    if "computed" in field.metadata:
        return Violation(key, value, computed_rule(field), source)
    if "section" in field.metadata:
        chosen_by = next((group for group in groups if group.endswith(f"@{key}")), None)
        if chosen_by and isinstance(value, str):  # one=large, where gpt2/model@one=large is meant
            return Violation(key, value, f"is a section, chosen by {chosen_by}", source, {chosen_by: value})
        rule = f"is a section; set its keys, for example {key}.{next(keys_of(field.metadata['section']))}"
        return Violation(key, value, rule, source)
    obeyed: Rule = field.metadata["rule"]
    problem, nearest = obeyed.problem(value), obeyed.remedy(value)
    remedy: dict[str, object] = {} if nearest is ABSENT or obeyed.problem(nearest) else {key: nearest}
    if override is not None and override.is_add() and not isinstance(override.value(), Mapping):
        rule = "exists already; leave out the plus"
        if problem:
            return Violation(key, value, f"{problem}; it {rule}", source, remedy)
        return Violation(key, value, rule, source, {key: RawOverride(override.get_value_element_as_str())})
    return Violation(key, value, problem or f"must be {obeyed}", source, remedy)


def leaves_of(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``(dotted key, value)`` of nested mappings; an empty one is a leaf, and an empty key is seen."""
    for key, value in values.items():
        name = f"{prefix}{key if key != '' else repr(key)}"
        if isinstance(value, Mapping) and value:
            yield from leaves_of(value, f"{name}.")
        else:
            yield name, value


def nested(key: str, value: Any) -> dict[str, Any]:
    """``{"a": {"b": value}}`` for ``a.b``."""
    head, _, rest = key.partition(".")
    return {head: nested(rest, value) if rest else value}
