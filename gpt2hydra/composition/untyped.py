"""What is wrong with values that no class describes: references to no key, numbers that YAML misreads."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from omegaconf import MISSING

from gpt2hydra.composition.fold import Fold, dotted, split_key
from gpt2hydra.composition.layers import Layer, Path, below, scalars
from gpt2hydra.config.errors import Setting, Violation
from gpt2hydra.utils.formatting import did_you_mean, show
from gpt2hydra.utils.yaml_nodes import is_misread_number, misread_rule

_REFERENCE = re.compile(r"(?<!\\)\$\{(\.*)([^${}:,'\"\s\\]+)\}")
"""``${a.b}`` and ``${.b}``, also within other text or a resolver; not ``${a.${b}}``."""


@dataclass(frozen=True)
class Reference:
    """A reference to ``target``, which no file has, in the value that ``setting`` set."""

    setting: Setting
    target: Path

    def violation(self, known: Collection[Path]) -> Violation:
        """What to report; ``known`` are paths that could be meant."""
        key, last = dotted(self.target), self.target[-1]
        if key.startswith("hydra."):
            meant = f"; write ${{hydra:{key.removeprefix('hydra.')}}}"
        else:
            others = (path for path in known if path[:-1] == self.target[:-1] and dotted(path) != self.setting.key)
            meant = did_you_mean(last, [path[-1] for path in others if path])
        rule = f"refers to a key that does not exist: {key}{meant}"
        return Violation(self.setting.key, self.setting.value, rule, self.setting.source)


class Keys:
    """The keys of a fold, as references name them."""

    def __init__(self, folded: Fold) -> None:
        self.sections = {tuple(map(str, path)) for path in folded.sections}
        self.values = {tuple(map(str, path)): chain[-1] for path, chain in folded.chains.items() if folded.leaf(path)}

    def has(self, path: Path, hops: int = 0) -> bool:
        """Whether a reference to ``path`` finds something, or may: behind ``???``, null, a resolver."""
        for depth in range(1, len(path) + 1):
            here, rest = path[:depth], path[depth:]
            if here in self.sections:
                continue
            if here not in self.values:
                return False
            return not rest or self._has_below(here, self.values[here].value, rest, hops)
        return True

    def _has_below(self, path: Path, value: Any, rest: Path, hops: int) -> bool:
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
        """Each reference to a key that is not there."""
        for path, setting in self.values.items():
            for target in _targets(path, setting.value):
                if not self.has(target):
                    yield Reference(setting, target)

    def missing_in_hydra(self, section: Layer) -> Iterator[Reference]:
        """Those of Hydra's own section, to keys of the config."""
        for path, layer in section.leaves(("hydra",)):
            for target in _targets(tuple(map(str, path)), layer.value):
                if target[:1] != ("hydra",) and not self.has(target):
                    yield Reference(Setting(dotted(path), layer.value, layer.source), target)


@dataclass(frozen=True)
class _Missing:
    """A reference that finds nothing with one choice, unless an option of an open group brings the key."""

    reference: Reference
    open_groups: set[str]
    known: list[Path]
    file: FilePath
    found_with: str


@dataclass
class OpenReferences:
    """References that find nothing with one choice, to be judged once all choices were composed."""

    missing: list[_Missing] = field(default_factory=list)
    provided: dict[str, list[Keys]] = field(default_factory=dict)
    """The keys that there are with each option of a group that the defaults list leaves open."""

    def add(
        self,
        folded: Fold,
        hydras: Sequence[Layer],
        chosen: Mapping[str, str | None],
        usual: Mapping[str, str | None],
        file: FilePath,
        found_with: str,
    ) -> None:
        """Add those of a composition.

        Args:
            hydras: what files say of Hydra itself.
            chosen: the options of the composition, by group.
            usual: those of the defaults list.
            file: where to report what no setting has a place for.
        """
        keys = Keys(folded)
        for group, option in usual.items():
            if option is None and chosen.get(group):
                self.provided.setdefault(group, []).append(keys)
        open_groups = {group for group, option in usual.items() if chosen.get(group, option) is None}
        sections = (each for section in hydras for each in keys.missing_in_hydra(section))
        known = [*keys.values, *keys.sections]
        for reference in (*keys.missing(), *sections):
            if not any(_is_below(reference, group) for group in open_groups):
                self.missing.append(_Missing(reference, open_groups, known, file, found_with))

    def take(self, others: OpenReferences) -> None:
        """Add those of another check of the same config."""
        self.missing += others.missing
        for group, keys in others.provided.items():
            self.provided.setdefault(group, []).extend(keys)

    def unresolved(self) -> Iterator[tuple[Violation, FilePath, str]]:
        """Those to keys that no option of an open group brings either, with the file and the choice."""
        seen = set()
        for each in self.missing:
            setting = each.reference.setting
            if (setting.key, setting.source) in seen:
                continue
            seen.add((setting.key, setting.source))  # where it is right with the usual options, another choice is not asked
            open_groups = (self.provided.get(group, ()) for group in each.open_groups)
            if not any(keys.has(each.reference.target) for found in open_groups for keys in found):
                yield each.reference.violation(each.known), each.file, each.found_with


def _is_below(reference: Reference, group: str) -> bool:
    """Whether a reference names a key of a group's section."""
    package = tuple((group.partition("@")[2] or group.replace("/", ".")).split("."))
    return reference.target[: len(package)] == package


def _targets(path: Path, value: Any) -> Iterator[Path]:
    """What the references in a value name."""
    if isinstance(value, str) and "${" in value:
        yield from (_target(path, *found.groups()) for found in _REFERENCE.finditer(value))
    elif isinstance(value, (list, dict)):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _targets((*path, str(key)), each)


def _target(path: Path, up: str, key: str) -> Path:
    return (*(path[: max(0, len(path) - len(up))] if up else ()), *split_key(key))


def misread_numbers(folded: Fold) -> Iterator[Violation]:
    """A violation for each number in force that YAML takes for one of base 8 or 60."""
    for last in (chain[-1] for chain in folded.chains.values()):
        for place, written, value in scalars(last.written, last.value):
            if is_misread_number(written) and show(value) != written:
                source = last.source.of_item(place[0]) if place else last.source
                yield Violation(f"{last.key}{below(place)}", written, misread_rule(written, value), source)
