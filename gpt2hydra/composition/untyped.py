"""Check values without a configuration class: references to missing keys, and numbers that YAML misreads."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from gpt2hydra.composition.fold import Fold, dotted, split_key
from gpt2hydra.composition.layers import KeyPath, Layer, format_indices, scalars
from gpt2hydra.config.errors import Setting, Violation
from gpt2hydra.utils.formatting import did_you_mean, format_value
from gpt2hydra.utils.yaml_nodes import is_misread_number, misread_rule

_REFERENCE = re.compile(r"(?<!\\)\$\{(\.*)([^${}:,'\"\s\\]+)\}")
"""``${a.b}`` and ``${.b}``, also in other text or a resolver; but not a computed key (``${a.${b}}``)."""


@dataclass(frozen=True)
class Reference:
    """A reference to ``target``, which does not exist, in the value of ``setting``."""

    setting: Setting
    target: KeyPath

    def violation(self, known: Collection[KeyPath]) -> Violation:
        """Return the violation; ``known`` are the paths that could be meant."""
        key, last = dotted(self.target), self.target[-1]
        if key.startswith("hydra."):
            meant = f"; write ${{hydra:{key.removeprefix('hydra.')}}}"
        else:
            others = (path for path in known if path[:-1] == self.target[:-1] and dotted(path) != self.setting.key)
            meant = did_you_mean(last, [path[-1] for path in others if path])
        rule = f"refers to a key that does not exist: {key}{meant}"
        return Violation(self.setting.key, self.setting.value, rule, self.setting.source)


class KnownKeys:
    """The keys of a fold, to check references."""

    def __init__(self, folded: Fold) -> None:
        self.sections = {tuple(map(str, path)) for path in folded.sections}
        self.values = {tuple(map(str, path)): history[-1] for path, history in folded.settings.items() if folded.leaf(path)}

    def has(self, path: KeyPath, hops: int = 0) -> bool:
        """Return whether a reference to ``path`` finds a value, or may: in ``???``, null or a resolver."""
        for depth in range(1, len(path) + 1):
            prefix, rest = path[:depth], path[depth:]
            if prefix in self.sections:
                continue
            if prefix not in self.values:
                return False
            return not rest or self._has_below(prefix, self.values[prefix].value, rest, hops)
        return True

    def _has_below(self, path: KeyPath, value: Any, rest: KeyPath, hops: int) -> bool:
        if isinstance(value, (list, dict)):
            try:
                below = value[int(rest[0])] if isinstance(value, list) else value[rest[0]]
            except (LookupError, ValueError):
                return False
            return len(rest) == 1 or self._has_below((*path, rest[0]), below, rest[1:], hops)
        if not isinstance(value, str) or value == MISSING or "${" not in value:
            return value is None or value == MISSING
        target = _REFERENCE.fullmatch(value)
        return target is None or hops > 16 or self.has((*_target(path, *target.groups()), *rest), hops + 1)

    def missing(self) -> Iterator[Reference]:
        """Yield each reference to a missing key."""
        for path, setting in self.values.items():
            for target in _targets(path, setting.value):
                if not self.has(target):
                    yield Reference(setting, target)

    def missing_in_hydra(self, section: Layer) -> Iterator[Reference]:
        """Yield each reference in Hydra's own section to a missing key of the config."""
        for path, layer in section.leaves(("hydra",)):
            for target in _targets(tuple(map(str, path)), layer.value):
                if target[:1] != ("hydra",) and not self.has(target):
                    yield Reference(Setting(dotted(path), layer.value, layer.source), target)


@dataclass(frozen=True)
class _MissingReference:
    """A reference to a key that is missing with one choice, unless an option of an open group has it."""

    reference: Reference
    open_groups: set[str]
    known: list[KeyPath]
    file: pathlib.Path
    found_with: str


@dataclass
class OpenReferences:
    """References to keys that are missing with one choice; they are checked after all choices were composed."""

    missing: list[_MissingReference] = field(default_factory=list)
    provided: dict[str, list[KnownKeys]] = field(default_factory=dict)
    """Group without a default option → the keys that exist with each of its options."""

    def add(
        self,
        folded: Fold,
        hydra_sections: Sequence[Layer],
        chosen: Mapping[str, str | None],
        defaults: Mapping[str, str | None],
        file: pathlib.Path,
        found_with: str,
    ) -> None:
        """Add the references of a composition.

        Args:
            hydra_sections: the ``hydra:`` sections of files.
            chosen: the options of the composition, by group.
            defaults: the options of the defaults list, by group.
            file: the file of violations whose setting has none.
        """
        keys = KnownKeys(folded)
        for group, option in defaults.items():
            if option is None and chosen.get(group):
                self.provided.setdefault(group, []).append(keys)
        open_groups = {group for group, option in defaults.items() if chosen.get(group, option) is None}
        sections = (each for section in hydra_sections for each in keys.missing_in_hydra(section))
        known = [*keys.values, *keys.sections]
        for reference in (*keys.missing(), *sections):
            if not any(_is_below(reference, group) for group in open_groups):
                self.missing.append(_MissingReference(reference, open_groups, known, file, found_with))

    def merge(self, others: OpenReferences) -> None:
        """Add the references of another check of the same config."""
        self.missing += others.missing
        for group, keys in others.provided.items():
            self.provided.setdefault(group, []).extend(keys)

    def unresolved(self) -> Iterator[tuple[Violation, pathlib.Path, str]]:
        """Yield ``(violation, file, choice)`` for each reference to a key that no option has."""
        seen = set()
        for each in self.missing:
            setting = each.reference.setting
            if (setting.key, setting.source) in seen:
                continue
            seen.add((setting.key, setting.source))  # only the first choice that lacks the key counts
            open_groups = (self.provided.get(group, ()) for group in each.open_groups)
            if not any(keys.has(each.reference.target) for found in open_groups for keys in found):
                yield each.reference.violation(each.known), each.file, each.found_with


def _is_below(reference: Reference, group: str) -> bool:
    """Return whether a reference names a key in a group's section."""
    package = tuple((group.partition("@")[2] or group.replace("/", ".")).split("."))
    return reference.target[: len(package)] == package


def _targets(path: KeyPath, value: Any) -> Iterator[KeyPath]:
    """Yield the targets of the references in a value."""
    if isinstance(value, str) and "${" in value:
        yield from (_target(path, *found.groups()) for found in _REFERENCE.finditer(value))
    elif isinstance(value, (list, dict)):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _targets((*path, str(key)), each)


def _target(path: KeyPath, up: str, key: str) -> KeyPath:
    return (*(path[: max(0, len(path) - len(up))] if up else ()), *split_key(key))


def misread_numbers(folded: Fold) -> Iterator[Violation]:
    """Yield a violation for each number in force that YAML reads in base 8 or 60."""
    for last in (history[-1] for history in folded.settings.values()):
        for place, written, value in scalars(last.written, last.value):
            if is_misread_number(written) and format_value(value) != written:
                source = last.source.of_item(place[0]) if place else last.source
                yield Violation(f"{last.key}{format_indices(place)}", written, misread_rule(written, value), source)
