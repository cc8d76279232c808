"""Validate: what breaks a rule once layers are folded. :mod:`.judge` says what cannot be laid at all.

:func:`examine` does it for what Hydra composed.
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
from gpt2hydra.composition.judge import CANNOT_BE_DELETED, is_modelled
from gpt2hydra.composition.layers import Path, below, scalars
from gpt2hydra.composition.resolve import Resolved, resolve, resolve_key
from gpt2hydra.composition.schema import class_of_schema, known_classes
from gpt2hydra.config.errors import ABSENT, DELETED, Setting, Violation
from gpt2hydra.config.keys import TARGET_KEYS, field_at, fields_of, once_a_class, place, rule_at
from gpt2hydra.config.rules import Anything, Items, MappingOf, Rule
from gpt2hydra.config.sections import Section
from gpt2hydra.config.validation import Checked, check
from gpt2hydra.config.wrong_keys import computed_rule
from gpt2hydra.utils.formatting import show
from gpt2hydra.utils.quoting import RawOverride
from gpt2hydra.utils.yaml_nodes import decimal, is_misread_number, misread_rule

# ----------------------------------------------------------------------------------------------- once they are folded


@dataclass(frozen=True)
class BuiltSection:
    """A valid section that refers to no other: its resolved leaves, and the instance that holds them."""

    plain: Mapping[Path, Any]
    instance: Any


@dataclass
class SharedSections:
    """The sections of ``files``, each built once for all overrides that change nothing in it."""

    files: Fold
    built: dict[str, BuiltSection] = field(default_factory=dict)

    def unchanged(self, folded: Fold, root: type[Checked]) -> set[str]:
        """The sections that ``folded`` has as the files do."""
        return {*_immutable_sections(root)} - folded.changed_since(self.files)

    def add(self, names: set[str], resolved: Resolved, values: Mapping[str, Any]) -> None:
        """Keep those sections, unless one refers to another."""
        refer = {path[0] for path in resolved.references}
        for name in names - refer - self.built.keys():
            plain = {path: value for path, value in resolved.plain.items() if path[0] == name}
            self.built[name] = BuiltSection(plain, values[name])


@once_a_class
def _immutable_sections(root: type[Checked]) -> frozenset[str]:
    fields = fields_of(root) if is_modelled(root) else ()
    return frozenset(each.name for each in fields if "section" in each.metadata)


def validate(
    folded: Fold, root: type[Checked], shared: SharedSections, known: Collection[str] = (), unsure: Collection[str] = ()
) -> tuple[dict[str, Any], list[Violation]]:
    """The values of a fold as ``root`` stores them, and the violations besides those of ``known`` keys.

    Values of ``unsure`` keys are checked one by one, for a file that was left out may have others.
    """
    wrong = frozenset((*known, *unsure))
    unchanged = shared.unchanged(folded, root) - {_section(key) for key in wrong}
    built = {name: shared.built[name] for name in unchanged & shared.built.keys()}
    plain = {path: value for each in built.values() for path, value in each.plain.items()}
    settings = [chain[-1] for path, chain in folded.chains.items() if path[0] not in built]
    resolved = resolve(folded, root, plain)
    known_wrong = wrong | resolved.broken.keys() | resolved.unresolved
    given = _without_absent(resolved.values) | {name: each.instance for name, each in built.items()}
    checked = check(root, given, known_wrong=known_wrong)
    by_hand = _computed_by_hand(settings, root)
    found = {each.key: each for each in (*by_hand, *checked.violations, *resolved.broken.values())}
    found |= {each.key: each for each in _misread(folded, settings, root)}
    shared.add(unchanged - {_section(key) for key in found}, resolved, checked.values)

    def written(key: str) -> Any:
        chain = folded.chains.get(tuple(key.split(".")))
        return chain[-1].value if chain else None

    new = [each for each in found.values() if each.key not in known and each.key not in resolved.unresolved]
    return checked.values, in_order(root, _causes(written, new, frozenset(known)))


def _section(key: str) -> str:
    return key.partition(".")[0]


def _computed_by_hand(settings: Iterable[Setting], root: type[Checked]) -> Iterator[Violation]:
    """Overrides of values that are computed; even the right value is no other than it would be without."""
    for last in settings:
        if last.source.kind != "command line" or last.value is DELETED:
            continue
        field = field_at(root, last.key)
        if field is not None and "computed" in field.metadata:
            yield Violation(last.key, last.value, computed_rule(field), last.source)


def _misread(folded: Fold, settings: Iterable[Setting], root: type[Checked]) -> Iterator[Violation]:
    """A violation for each value that YAML reads otherwise than a person, and for each ``???`` in force."""
    for path, source in folded.demanded.items():
        if source.kind not in ("command line", "default") and field_at(root, dotted(path)) is not None:
            yield Violation(dotted(path), "???", "must be given: the file leaves it to the command line", source)
    for last in settings:
        rule = rule_at(root, last.key) if last.written is not None else None
        if rule is None:
            continue
        found = [
            (within, written, problem, _meant(written, value, each, alone=not within))
            for within, written, value in scalars(last.written, last.value)
            for each in (functools.reduce(_rule_below, within, rule),)
            if (problem := _pitfall(written, value, each))
        ]
        right = functools.reduce(lambda values, each: _with(values, each[0], each[3]), found, last.value)
        remedy = {last.key: right} if all(meant != "" for *_, meant in found) else {}
        for within, written, problem, _ in found:
            by = last.source.of_item(within[0]) if within else None
            yield Violation(f"{last.key}{below(within)}", written, problem, by, remedy)


def _rule_below(rule: Rule, part: Any) -> Rule:
    """The rule of an element of a list, or of a key of a section in one."""
    if isinstance(rule, Section):
        return rule_at(rule.config_class, str(part)) or Anything()
    return rule.element if isinstance(rule, (Items, MappingOf)) else Anything()


def _meant(written: str, value: object, rule: Rule, *, alone: bool) -> object:
    """What to set instead; empty where that is not certain."""
    if rule.kind is str:
        return "" if rule.problem(written) else written
    number = int(decimal(written)) if decimal(written) else value
    return RawOverride(number) if alone else number


def _with(values: Any, within: tuple[Any, ...], meant: object) -> object:
    """``values`` with what is meant in one place."""
    if not within:
        return meant
    changed = {part: _with(each, within[1:], meant) if part == within[0] else each for part, each in _parts(values)}
    return [*changed.values()] if isinstance(values, list) else changed


def _parts(values: Any) -> Iterable[tuple[Any, Any]]:
    return enumerate(values) if isinstance(values, list) else values.items()


def _pitfall(written: str, value: object, rule: Rule) -> str | None:
    if rule.kind is str and not isinstance(value, str) and value is not None and str(value) != written:
        return (
            rule.problem(written) or f"is text, but YAML reads it as {show(value)}; in the file, put it in quotes: '{written}'"
        )
    if rule.kind in (int, float) and is_misread_number(written) and str(value) != decimal(written):
        return misread_rule(written, value)
    return None


# ---------------------------------------------------------------------------------------------------------- the gate


def examine(config: DictConfig, config_class: type[Checked], section: str = "") -> tuple[dict[str, Any], list[Violation]]:
    """Resolve and check ``config``: the values, and each violation in the schema's order, below ``section``.

    What ``hydra.utils.instantiate`` reads, ``_target_`` for one, is left out where the class has no such
    field.
    """
    broken: dict[str, Violation] = {}
    names = {field.name for field in fields_of(config_class)}
    keys = [key for key in _keys(config) if key in names or key not in TARGET_KEYS]
    try:
        given = {str(key): _resolved(config, key) for key in keys}
    except Exception:  # whatever a resolver raises; found again and named, key by key
        given = {str(key): resolve_key(config, key, str(key), config_class, broken) for key in keys}
    for path in [*broken]:
        if any(f"{path.rpartition('.')[0]}.{name}".lstrip(".") in broken for name in _inputs(field_at(config_class, path))):
            del broken[path]  # it follows from what is named already
    if class_of_schema(config) is config_class:  # composed, so that nothing is absent unless it was deleted
        for field in fields_of(config_class):
            if field.name not in given:
                broken[field.name] = Violation(field.name, rule=CANNOT_BE_DELETED)
    prefix = f"{section}." if section else ""
    found = check(config_class, _without_absent(given), prefix, known_wrong=frozenset(broken))
    if not found.violations and not broken:
        return found.values, []
    written: Any = OmegaConf.to_container(config, resolve=False)
    unresolved = (each.below(section) if section else each for each in broken.values())
    causes = _causes(lambda key: _at(written, key.removeprefix(prefix)), [*found.violations, *unresolved], frozenset())
    return found.values, sorted(causes, key=lambda violation: place(config_class, violation.key.removeprefix(prefix)))


def _inputs(field: dataclasses.Field[Any] | None) -> tuple[str, ...]:
    return field.metadata.get("inputs", ()) if field is not None else ()


def _causes(written: Callable[[str], Any], violations: list[Violation], known: frozenset[str]) -> list[Violation]:
    """``violations`` without those of keys that only repeat another wrong one (``${model.n_positions}``).

    What came from the environment is shown as it was referred to: it may be a secret.
    """
    blamed, kept = known | {violation.key for violation in violations}, []
    for violation in violations:
        raw = written(violation.key)
        if not _repeats(written, violation.key, blamed):
            secret = isinstance(raw, str) and "${oc.env:" in raw
            kept.append(dataclasses.replace(violation, value=raw) if secret else violation)
    return kept


def _repeats(written: Callable[[str], Any], key: str, blamed: frozenset[str]) -> bool:
    """Whether ``key`` refers, in the end, to another wrong one. Keys of a circle are all wrong themselves."""
    seen = {key}
    while True:
        target = _REFERENCE.fullmatch(str(written(key)))
        wrong = {each for each in blamed if target and f"{target[1]}.".startswith(f"{each}.")} if target else set()
        if target is None or not wrong - {key}:
            return len(seen) > 1
        key = target[1]
        if key in seen:
            return False
        seen.add(key)


_REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def _at(written: Mapping[str, Any], key: str) -> Any:
    """The value under a dotted key, interpolations not resolved; None where there is none."""
    value: Any = written
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def in_order(config_class: type[Checked], violations: list[Violation]) -> list[Violation]:
    """``violations`` in the order of the schema."""
    return sorted(violations, key=lambda violation: place(config_class, violation.key))


def config_class_of(config: DictConfig) -> type[Checked]:
    """The class that a config is for: that of its schema, else the one with the most keys in common."""
    keys = set(_keys(config)) if is_mapping(config) else set()
    return class_of_schema(config) or max(
        known_classes(), key=lambda each: len(keys & {field.name for field in fields_of(each)})
    )


def _keys(config: DictConfig) -> list[Any]:
    return [key for key in config if key != "hydra"]


def _resolved(config: DictConfig, key: Any) -> Any:
    node = config[key]
    return OmegaConf.to_container(node, resolve=True, throw_on_missing=True) if OmegaConf.is_config(node) else node


def _without_absent(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_absent(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not ABSENT
    }
