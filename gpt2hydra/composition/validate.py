"""Resolve and validate a fold: rules of values and between values.

Layers are checked before, by :mod:`gpt2hydra.composition.merge_check`. :func:`validate_composed` validates a
config that Hydra composed.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gpt2hydra.composition.fold import Fold, dotted
from gpt2hydra.composition.hydra_compat import is_mapping
from gpt2hydra.composition.layers import KeyPath, format_indices, scalars
from gpt2hydra.composition.merge_check import CANNOT_BE_DELETED, is_modelled
from gpt2hydra.composition.resolve import Resolved, resolve, resolve_key
from gpt2hydra.composition.schema import class_of_schema, known_classes
from gpt2hydra.config.errors import ABSENT, DELETED, Setting, Violation
from gpt2hydra.config.keys import TARGET_KEYS, cache_by_class, field_at, fields_of, rule_at, sort_key
from gpt2hydra.config.sections import Section
from gpt2hydra.config.validation import Checked, check
from gpt2hydra.config.value_rules import Anything, Items, MappingOf, Rule
from gpt2hydra.config.wrong_keys import computed_rule
from gpt2hydra.utils.formatting import format_value
from gpt2hydra.utils.quoting import RawOverride
from gpt2hydra.utils.yaml_nodes import decimal, is_misread_number, misread_rule

# --------------------------------------------------------------------------------------------------------- of a fold


@dataclass(frozen=True)
class BuiltSection:
    """A valid section without references: its resolved leaves, and its instance."""

    plain: Mapping[KeyPath, Any]
    instance: Any


@dataclass
class SharedSections:
    """The sections of ``files``, each built once for all overrides that do not change it, as in a sweep."""

    files: Fold
    built: dict[str, BuiltSection] = field(default_factory=dict)

    def unchanged(self, folded: Fold, root: type[Checked]) -> set[str]:
        """Return the sections that are the same in ``folded`` and in the files."""
        return {*_immutable_sections(root)} - folded.changed_since(self.files)

    def add(self, names: set[str], resolved: Resolved, values: Mapping[str, Any]) -> None:
        """Keep these sections, except those with references."""
        refer = {path[0] for path in resolved.references}
        for name in names - refer - self.built.keys():
            plain = {path: value for path, value in resolved.plain.items() if path[0] == name}
            self.built[name] = BuiltSection(plain, values[name])


@cache_by_class
def _immutable_sections(root: type[Checked]) -> frozenset[str]:
    fields = fields_of(root) if is_modelled(root) else ()
    return frozenset(each.name for each in fields if "section" in each.metadata)


def validate(
    folded: Fold, root: type[Checked], shared: SharedSections, known: Collection[str] = (), uncertain: Collection[str] = ()
) -> tuple[dict[str, Any], list[Violation]]:
    """Return the values of a fold as ``root`` stores them, and the violations except of ``known`` keys.

    Rules between values ignore ``uncertain`` keys, because a file that was left out may have set them.
    """
    wrong = frozenset((*known, *uncertain))
    unchanged = shared.unchanged(folded, root) - {_section(key) for key in wrong}
    built = {name: shared.built[name] for name in unchanged & shared.built.keys()}
    plain = {path: value for each in built.values() for path, value in each.plain.items()}
    settings = [history[-1] for path, history in folded.settings.items() if path[0] not in built]
    resolved = resolve(folded, root, plain)
    known_wrong = wrong | resolved.broken.keys() | resolved.unresolved
    given = _without_absent(resolved.values) | {name: each.instance for name, each in built.items()}
    checked = check(root, given, known_wrong=known_wrong)
    by_hand = _check_computed_keys(settings, root)
    found = {each.key: each for each in (*by_hand, *checked.violations, *resolved.broken.values())}
    found |= {each.key: each for each in _check_misread_values(folded, settings, root)}
    shared.add(unchanged - {_section(key) for key in found}, resolved, checked.values)

    def written(key: str) -> Any:
        history = folded.settings.get(tuple(key.split(".")))
        return history[-1].value if history else None

    new = [each for each in found.values() if each.key not in known and each.key not in resolved.unresolved]
    return checked.values, sort_violations(root, _without_consequences(written, new, frozenset(known)))


def _section(key: str) -> str:
    return key.partition(".")[0]


def _check_computed_keys(settings: Iterable[Setting], root: type[Checked]) -> Iterator[Violation]:
    """Yield a violation for each override of a computed value, even if the value is correct."""
    for last in settings:
        if last.source.kind != "command line" or last.value is DELETED:
            continue
        field = field_at(root, last.key)
        if field is not None and "computed" in field.metadata:
            yield Violation(last.key, last.value, computed_rule(field), last.source)


def _check_misread_values(folded: Fold, settings: Iterable[Setting], root: type[Checked]) -> Iterator[Violation]:
    """Yield a violation for each value that YAML reads differently than a person, and for each ``???``."""
    for path, source in folded.demanded.items():
        if source.kind not in ("command line", "default") and field_at(root, dotted(path)) is not None:
            yield Violation(dotted(path), "???", "must be given on the command line: the file has ???", source)
    for last in settings:
        rule = rule_at(root, last.key) if last.written is not None else None
        if rule is None:
            continue
        found = [
            (within, written, problem, _intended_value(written, value, each, alone=not within))
            for within, written, value in scalars(last.written, last.value)
            for each in (functools.reduce(_rule_below, within, rule),)
            if (problem := _misread_problem(written, value, each))
        ]
        right = functools.reduce(lambda values, each: _replace_at(values, each[0], each[3]), found, last.value)
        remedy = {last.key: right} if all(meant != "" for *_, meant in found) else {}
        for within, written, problem, _ in found:
            by = last.source.of_item(within[0]) if within else None
            yield Violation(f"{last.key}{format_indices(within)}", written, problem, by, remedy)


def _rule_below(rule: Rule, part: Any) -> Rule:
    """Return the rule of an element of a list or mapping, or of a key of a section in a list."""
    if isinstance(rule, Section):
        return rule_at(rule.config_class, str(part)) or Anything()
    return rule.element if isinstance(rule, (Items, MappingOf)) else Anything()


def _intended_value(written: str, value: object, rule: Rule, *, alone: bool) -> object:
    """Return the value that was meant, as a raw override if not in a list (``alone``); empty if uncertain."""
    if rule.kind is str:
        return "" if rule.first_problem(written) else written
    number = int(decimal(written)) if decimal(written) else value
    return RawOverride(number) if alone else number


def _replace_at(values: Any, within: tuple[Any, ...], meant: object) -> object:
    """Return ``values`` with ``meant`` at one place."""
    if not within:
        return meant
    changed = {part: _replace_at(each, within[1:], meant) if part == within[0] else each for part, each in _parts(values)}
    return [*changed.values()] if isinstance(values, list) else changed


def _parts(values: Any) -> Iterable[tuple[Any, Any]]:
    return enumerate(values) if isinstance(values, list) else values.items()


def _misread_problem(written: str, value: object, rule: Rule) -> str | None:
    if rule.kind is str and not isinstance(value, str) and value is not None and str(value) != written:
        return (
            rule.first_problem(written)
            or f"is text, but YAML reads it as {format_value(value)}; in the file, put it in quotes: '{written}'"
        )
    if rule.kind in (int, float) and is_misread_number(written) and str(value) != decimal(written):
        return misread_rule(written, value)
    return None


# -------------------------------------------------------------------------------------------------- composed by Hydra


def validate_composed(
    config: DictConfig, config_class: type[Checked], section: str = ""
) -> tuple[dict[str, Any], list[Violation]]:
    """Resolve and check ``config``; return values and violations, sorted, with keys below ``section``.

    Keys of ``hydra.utils.instantiate``, such as ``_target_``, are ignored if the class has no such field.
    """
    broken: dict[str, Violation] = {}
    names = {field.name for field in fields_of(config_class)}
    keys = [key for key in _keys(config) if key in names or key not in TARGET_KEYS]
    try:
        given = {str(key): _resolve_value(config, key) for key in keys}
    except Exception:  # a resolver may raise anything; it is found again below, by key
        given = {str(key): resolve_key(config, key, str(key), config_class, broken) for key in keys}
    for path in [*broken]:
        if any(f"{path.rpartition('.')[0]}.{name}".lstrip(".") in broken for name in _inputs(field_at(config_class, path))):
            del broken[path]  # it is a consequence of another violation
    if class_of_schema(config) is config_class:  # composed: a key is missing only if it was deleted
        for field in fields_of(config_class):
            if field.name not in given:
                broken[field.name] = Violation(field.name, rule=CANNOT_BE_DELETED)
    prefix = f"{section}." if section else ""
    found = check(config_class, _without_absent(given), prefix, known_wrong=frozenset(broken))
    if not found.violations and not broken:
        return found.values, []
    written: Any = OmegaConf.to_container(config, resolve=False)
    unresolved = (each.below(section) if section else each for each in broken.values())
    causes = _without_consequences(
        lambda key: _value_at(written, key.removeprefix(prefix)), [*found.violations, *unresolved], frozenset()
    )
    return found.values, sorted(causes, key=lambda violation: sort_key(config_class, violation.key.removeprefix(prefix)))


def _inputs(field: dataclasses.Field[Any] | None) -> tuple[str, ...]:
    return field.metadata.get("inputs", ()) if field is not None else ()


def _without_consequences(written: Callable[[str], Any], violations: list[Violation], known: frozenset[str]) -> list[Violation]:
    """Return ``violations`` except of keys that only refer to another wrong key (``${model.n_head}``).

    A value from the environment is shown as its reference, because it may be a secret.
    """
    wrong_keys, kept = known | {violation.key for violation in violations}, []
    for violation in violations:
        raw = written(violation.key)
        if not _repeats(written, violation.key, wrong_keys):
            secret = isinstance(raw, str) and "${oc.env:" in raw
            kept.append(dataclasses.replace(violation, value=raw) if secret else violation)
    return kept


def _repeats(written: Callable[[str], Any], key: str, wrong_keys: frozenset[str]) -> bool:
    """Return whether ``key`` refers, maybe through others, to another wrong key; False in a circle."""
    seen = {key}
    while True:
        target = _REFERENCE.fullmatch(str(written(key)))
        wrong = {each for each in wrong_keys if target and f"{target[1]}.".startswith(f"{each}.")} if target else set()
        if target is None or not wrong - {key}:
            return len(seen) > 1
        key = target[1]
        if key in seen:
            return False
        seen.add(key)


_REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def _value_at(written: Mapping[str, Any], key: str) -> Any:
    """Return the unresolved value of a dotted key, or None."""
    value: Any = written
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def sort_violations(config_class: type[Checked], violations: list[Violation]) -> list[Violation]:
    """Return ``violations`` in the order of the schema."""
    return sorted(violations, key=lambda violation: sort_key(config_class, violation.key))


def config_class_of(config: DictConfig) -> type[Checked]:
    """Return the class of a config: that of its schema, else the known one with the most of its keys."""
    keys = set(_keys(config)) if is_mapping(config) else set()
    return class_of_schema(config) or max(
        known_classes(), key=lambda each: len(keys & {field.name for field in fields_of(each)})
    )


def _keys(config: DictConfig) -> list[Any]:
    return [key for key in config if key != "hydra"]


def _resolve_value(config: DictConfig, key: Any) -> Any:
    node = config[key]
    return OmegaConf.to_container(node, resolve=True, throw_on_missing=True) if OmegaConf.is_config(node) else node


def _without_absent(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_absent(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not ABSENT
    }
