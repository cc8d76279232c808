"""Check each layer against the schema before it is merged, so that each violation has its source."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import MISSING, OmegaConf

from gpt2hydra.composition.fold import Fold, dotted
from gpt2hydra.composition.layers import KeyPath, Layer
from gpt2hydra.composition.resolve import convert, missing_violation
from gpt2hydra.config.errors import ABSENT, DELETED, Violation
from gpt2hydra.config.keys import cache_by_class, field_at, fields_by_key, is_allowed_key, is_open, keys_of, section_classes
from gpt2hydra.config.validation import Checked
from gpt2hydra.config.value_rules import Anything, MappingOf, Rule
from gpt2hydra.config.wrong_keys import computed_rule, unknown_dotted_key, unknown_key
from gpt2hydra.utils.formatting import closest, format_value
from gpt2hydra.utils.quoting import RawOverride

CANNOT_BE_DELETED = "cannot be deleted: every key of the schema has a value"

MAX_EXPLAINED = 50
"""With more violations than this, a report does not suggest keys for unknown ones."""


def check_mergeable(folded: Fold, path: KeyPath, layer: Layer, override: Override | None) -> Sequence[Violation]:
    """Return a violation if a list is over a section or the reverse. Used for files without a schema."""
    kind, existing = type(layer.value), folded.container_type_at(path) if override is None else None
    if existing is None or kind not in (dict, list) or kind is existing:
        return ()
    this, other = ("a list", "a section") if kind is list else ("a section", "a list")
    before = folded.leaf(path)
    source = folded.sections.get(path) or (before.source if before is not None else None)
    where = f" ({source})" if source is not None and source.kind == "file" else ""
    rule = f"is {this} over {other}{where}, which Hydra cannot merge"
    return [Violation(dotted(path), layer.value if kind is list else ABSENT, rule, layer.source)]


@dataclass
class SchemaCheck:
    """Checks layers against a configuration class. ``groups`` are those of the defaults list."""

    root: type[Checked]
    groups: Collection[str]

    def __call__(self, folded: Fold, path: KeyPath, layer: Layer, override: Override | None) -> Sequence[Violation]:
        """Return the violations of a layer at ``path``."""
        if layer.source.kind == "default":
            return ()
        if override is None and isinstance(path[-1], str) and "." in path[-1]:
            return [self._dotted_key_violation(path, layer)]
        field = self._field(path)
        if isinstance(layer.value, dict) and field is not None and _has_keys(field):
            return ()
        found = [self._check_leaf(folded, place, leaf.value, override) for place, leaf in layer.leaves(path)]
        return [dataclasses.replace(each, source=each.source or layer.source) for each in found if each is not None]

    def _field(self, path: KeyPath) -> dataclasses.Field[Any] | None:
        return field_at(self.root, dotted(path)) if all(isinstance(part, str) and part for part in path) else None

    def _check_leaf(self, folded: Fold, path: KeyPath, value: Any, override: Override | None) -> Violation | None:
        """Return the violation of a value that the schema cannot hold, or None."""
        if value is DELETED:
            return self._deletion_violation(folded, path)
        key, field = dotted(path), self._field(path)
        if field is None and override is not None and _is_item(folded, path, override):
            return None
        if field is None and not is_allowed_key(self.root, key):
            return self._unknown_key_violation(folded, path, value, override)
        if override is not None and override.type is OverrideType.CHANGE:
            absent = self._needs_plus_violation(folded, path, value, override)
            if absent is not None:
                return absent
        if field is None:
            return None
        reference = isinstance(value, str) and "${" in value
        if "computed" in field.metadata:
            adds = override is not None and override.is_add()
            return Violation(key, value, computed_rule(field)) if adds else None
        if section_classes(field):
            may = reference or value == MISSING or (value is None and field.metadata.get("optional"))
            return None if may or "variants" in field.metadata else self._section_violation(key, field, value, override)
        rule: Rule = field.metadata["rule"]
        exists = override is not None and _exists(folded, path, override)
        if not exists and _can_hold(rule, value):
            return None
        problem, nearest = rule.first_problem(value), rule.remedy(value)
        remedy: dict[str, object] = {} if nearest is ABSENT or rule.first_problem(nearest) else {key: nearest}
        before = folded.leaf(path)
        replaced = before if before is not None and repr(before.value) != repr(value) else None
        if replaced is not None and replaced.value == MISSING:
            replaced = None
        if exists:
            written = override.get_value_element_as_str() if override is not None else ""
            words = "exists already; leave out the plus"
            if problem:
                return Violation(key, value, f"{problem}; it {words}", remedy=remedy, replaced=replaced)
            return Violation(key, value, words, remedy={key: RawOverride(written)}, replaced=replaced)
        return Violation(key, value, problem or f"must be {rule}", remedy=remedy, replaced=replaced)

    def _needs_plus_violation(self, folded: Fold, path: KeyPath, value: Any, override: Override) -> Violation | None:
        """Return a violation if a key needs a plus: no file and no schema has it, or it is below null."""
        key = dotted(path)
        around = [each for depth in range(1, len(path)) if (each := folded.leaf(path[:depth])) is not None]
        if around and around[-1].value == MISSING:  # Hydra sets nothing below it
            return dataclasses.replace(missing_violation(self.root, around[-1].key), source=around[-1].source)
        if folded.leaf(path) or path in folded.sections or any(each.value is not None for each in around):
            return None
        if self.root.HAS_SCHEMA and not around:
            return None
        if self._field(path) is None:
            known = [dotted(each) for each in (*folded.settings, *folded.sections) if each]
            near = next((each for each in known if each.endswith(f".{key}")), None) or closest(key, known, cutoff=0.75)
            if near is not None:
                return Violation(key, value, f"unknown key; did you mean {near}?", remedy={near: value})
        rule = f"{around[0].key} is null; add the key with a plus" if around else "is in no file; add it with a plus"
        return Violation(key, value, rule, remedy={f"+{key}": RawOverride(override.get_value_element_as_str())})

    def _unknown_key_violation(self, folded: Fold, path: KeyPath, value: Any, override: Override | None) -> Violation:
        key = ".".join(str(part) if part != "" else repr(part) for part in path)
        if override is None and key in self.groups and isinstance(value, str):
            return self._choice_violation(key, value)
        if len(folded.violations) > MAX_EXPLAINED:
            return Violation(key, value, "unknown key")
        if any(not isinstance(part, str) or "." in part for part in path):
            section = field_at(self.root, dotted(path[:-1])) if path[1:] else None
            nested = section.metadata.get("section") if section is not None else self.root if not path[1:] else None
            if nested is not None:
                return dataclasses.replace(unknown_key(nested, path[-1]), key=key, value=value)
        return unknown_dotted_key(self.root, key, value, [*self.groups])

    @staticmethod
    def _choice_violation(key: str, value: str) -> Violation:
        where = f"'- {key}: {value}', or '- override /{key}: {value}' in an experiment"
        return Violation(key, value, f"is a choice; write it in the defaults list: {where}")

    def _deletion_violation(self, folded: Fold, path: KeyPath) -> Violation:
        key, around = dotted(path), folded.leaf(path[:-1])
        rule = CANNOT_BE_DELETED if field_at(self.root, key) is not None else "cannot be deleted: there is no such key"
        if around is not None and isinstance(around.value, list):
            rule = f"cannot be deleted: {dotted(path[:-1])} is a list; set all of it"
        return Violation(key, rule=rule)

    def _section_violation(self, key: str, field: dataclasses.Field[Any], value: Any, override: Override | None) -> Violation:
        if override is None and key in self.groups and isinstance(value, str):
            return self._choice_violation(key, value)
        chosen_by = next((group for group in self.groups if group.endswith(f"@{key}")), None)
        if chosen_by and isinstance(value, str):  # one=large instead of gpt2/model@one=large
            return Violation(key, value, f"is a section, chosen by {chosen_by}", remedy={chosen_by: value})
        rule = f"is a section; set its keys, for example {key}.{next(keys_of(field.metadata['section']))}"
        return Violation(key, value, rule)

    def _dotted_key_violation(self, path: KeyPath, layer: Layer) -> Violation:
        """Return the violation of a key with dots in a file: Hydra reads it as one name."""
        key, value = dotted(path), layer.plain
        head, *sections = str(path[-1]).split(".")
        nested = functools.reduce(lambda inner, name: f"{{{name}: {inner}}}", reversed(sections), format_value(value))
        rule = f"must be nested in YAML: {head}: {nested}"
        return Violation(key, value, rule, layer.source, {key: value})


def _has_keys(field: dataclasses.Field[Any]) -> bool:
    return bool(section_classes(field)) or isinstance(field.metadata.get("rule"), (Anything, MappingOf))


@cache_by_class
def is_modelled(root: type[Any]) -> bool:
    """Return whether the fold can model a class: all values have one type, and no section has open keys."""
    fields = fields_by_key(root).values()
    classes = [root, *(nested for field in fields for nested in section_classes(field))]
    if not all(issubclass(each, Checked) and not is_open(each) for each in classes):
        return False
    return all(_is_plain(each.metadata) for each in fields)


def _is_plain(metadata: Mapping[str, Any]) -> bool:
    if "section" in metadata:
        return not metadata.get("optional")
    return "computed" in metadata or ("rule" in metadata and metadata["rule"].kind in (bool, int, float, str))


def _exists(folded: Fold, path: KeyPath, override: Override) -> bool:
    """Return whether Hydra rejects an override with a plus because the key has a value."""
    if not override.is_add() or isinstance(override.value(), (dict, list)):
        return False
    leaf = folded.leaf(path)
    return leaf is not None and leaf.value is not None and leaf.value != MISSING


def _is_item(folded: Fold, path: KeyPath, override: Override) -> bool:
    """Return whether an override replaces an item of a list: ``sizes.0=3``."""
    around = folded.leaf(path[:-1])
    items = around.value if around is not None and isinstance(around.value, list) else ()
    return path[-1] in map(str, range(len(items))) and not override.is_add()


def _can_hold(rule: Rule, value: Any) -> bool:
    """Return whether OmegaConf can put ``value``, or a well-formed reference, into a field with this rule."""
    if isinstance(value, str) and (value == MISSING or "${" in value):
        try:
            OmegaConf.create([value])
        except Exception:  # a ${ without a closing brace
            return False
        return True
    try:
        convert(rule, value)
    except Exception:  # OmegaConf may raise anything
        return False
    return True
