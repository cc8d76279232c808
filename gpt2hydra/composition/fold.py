"""The fold: merge layers as OmegaConf does, and keep for each key all its settings, the one in force last.

Values stay as written, untyped and unresolved. A :data:`MergeCheck` checks each layer against the schema
before the merge: a value that the schema cannot hold becomes a violation with its source and is left out.
Without a check every layer is merged.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import MISSING, DictConfig, OmegaConf

from gpt2hydra.composition.hydra_compat import SETS_THROUGH_REFERENCES
from gpt2hydra.composition.layers import KeyPath, Layer, holds_value, layer_of, layer_of_node, leaf_nodes, raw
from gpt2hydra.config.errors import ABSENT, DEFAULT, DELETED, Setting, Source, Violation, command_line
from gpt2hydra.config.keys import field_at, leaves
from gpt2hydra.config.validation import Checked


@dataclass
class Provenance:
    """The history of every key that was set.

    ``settings``: leaf (also a list or an empty mapping) → its settings, the one in force last.
    ``sections``: mapping → the last source that wrote into it.
    ``demanded``: key that a source set to ``???`` after it had a value, which Hydra keeps → that source.
    """

    settings: dict[str, tuple[Setting, ...]]
    sections: dict[str, Source]
    demanded: dict[str, Source] = field(default_factory=dict)

    def setting(self, key: str) -> Setting | None:
        """Return the setting in force for ``key``, or for the list or deleted section around it, or None."""
        if key in self.sections and key not in self.settings:
            return Setting(key, ABSENT, self.sections[key])
        name = self._nearest(key)
        return None if name is None else self.settings[name][-1]

    def source(self, key: str) -> Source | None:
        """Return the source of ``key``, or None if it was not set."""
        setting = self.setting(key)
        return setting.source if setting else None

    def replaced(self, key: str) -> Setting | None:
        """Return the setting that the one in force replaced, if its value was different; else None."""
        *_, before, last = (None, None, *self.settings.get(key, ()))
        unchanged = before is not None and last is not None and repr(before.value) == repr(last.value)
        return None if before is None or unchanged or before.value in (DELETED, MISSING) else before

    def add_source(self, violation: Violation) -> Violation:
        """Return ``violation`` with source and replaced setting, unless it has a source already."""
        others = {key: source or self.source(key) for key, source in violation.others.items()}
        if others != violation.others:
            violation = dataclasses.replace(violation, others=others)
        setting = self.setting(violation.key)
        if violation.source is not None or setting is None:
            return violation
        deleted = setting.value is DELETED and setting.source.kind != "untraced"
        replaced = None if setting.source.kind == "untraced" else self.replaced(setting.key)
        action = "deleted" if deleted else violation.action
        source, item = setting.source, re.match(r"\[(\d+)\]", violation.key[len(setting.key) :])
        source = source.of_item(int(item[1])) if item else source
        return dataclasses.replace(violation, source=source, action=action, replaced=replaced)

    def with_sources(self, of: Callable[[Source], Source]) -> Provenance:
        """Return a copy with ``of(source)`` instead of each source."""
        settings = {
            key: tuple(dataclasses.replace(each, source=of(each.source)) for each in history)
            for key, history in self.settings.items()
        }
        sections, demanded = ({key: of(each) for key, each in found.items()} for found in (self.sections, self.demanded))
        return Provenance(settings, sections, demanded)

    def changes(self, config: Checked) -> list[Setting]:
        """Return every value of ``config`` that differs from the schema's default, with its source."""
        found = []
        for key, value in leaves(config):
            field, source = field_at(type(config), key), self.source(key)
            if field is not None and "rule" in field.metadata and value != field.default and source is not None:
                found.append(Setting(key, value, source))
        return found

    def correct_from(self, cfg: DictConfig) -> frozenset[str]:
        """Take the values of Hydra's ``cfg`` that differ, with the source ``untraced``; return their keys."""
        folded = {key: history[-1].value for key, history in self.settings.items() if history[-1].value is not DELETED}
        composed = {dotted(path): node for path, node in leaf_nodes(cfg) if path[0] != "hydra"}
        agreed = {key for key in folded.keys() & composed.keys() if holds_value(composed[key], folded[key])}
        differing = frozenset((folded.keys() | composed.keys()) - agreed)
        for key in differing:
            value = raw(composed[key]) if key in composed else DELETED
            self.settings[key] = (*self.settings.get(key, ()), Setting(key, value, Source("untraced")))
        return differing

    def _nearest(self, key: str) -> str | None:
        name = re.sub(r"\[(\w+)\]", r".\1", key)
        while name and name not in self.settings:
            name = name.rpartition(".")[0]
        return name or None


MergeCheck = Callable[["Fold", KeyPath, Layer, "Override | None"], Sequence[Violation]]
"""Returns the violations of a layer at a path; none if it can be merged. The override is None for a file."""


class Fold:
    """A partly merged config. It merges like OmegaConf, except types, and keeps the history of each key."""

    def __init__(self, check: MergeCheck | None = None, violations: Iterable[Violation] = ()) -> None:
        self.check, self.violations = check, [*violations]
        self.settings: dict[KeyPath, tuple[Setting, ...]] = {}
        self.sections: dict[KeyPath, Source] = {(): DEFAULT}
        self.kinds: dict[KeyPath, Any] = {}
        self.demanded: dict[KeyPath, Source] = {}

    def copy(self) -> Fold:
        """Return a copy that can be changed independently."""
        other = Fold(self.check, self.violations)
        other.settings, other.sections, other.kinds = {**self.settings}, {**self.sections}, {**self.kinds}
        other.demanded = {**self.demanded}
        return other

    def changed_since(self, earlier: Fold) -> set[Any]:
        """Return the top-level keys that were changed or deleted since this was a copy of ``earlier``."""
        changed = {path[0] for path, history in self.settings.items() if earlier.settings.get(path) is not history}
        return changed | {path[0] for path in earlier.settings.keys() - self.settings.keys()}

    def provenance(self) -> Provenance:
        """Return the history of all keys, by dotted key."""
        sections = {dotted(path): source for path, source in self.sections.items() if path}
        filled = {path[:-1] for path in (*self.sections, *filter(self.leaf, self.settings)) if path}
        settings = {dotted(path): history for path, history in self.settings.items()}
        for key, source in ((dotted(path), self.sections[path]) for path in self.sections.keys() - filled if path):
            settings[key] = (*settings.get(key, ()), Setting(key, {}, source))
        demanded = {dotted(path): source for path, source in self.demanded.items()}
        return Provenance(settings, sections, demanded=demanded)

    def merge(self, path: KeyPath, layer: Layer, override: Override | None = None) -> None:
        """Merge ``layer`` at ``path``."""
        if path[:1] == ("hydra",) or self._has_violations(path, layer, override):
            return
        if isinstance(layer.value, dict):
            if path not in self.sections:
                self._open(path, layer.source)
            self.sections[path] = layer.source
            for key, below in layer.value.items():
                self.merge((*path, key), below, override)
        elif layer.value != MISSING or not (path in self.sections or self.leaf(path)):
            self._set(path, layer)
        else:
            self.demanded[path] = layer.source
        if layer.kind:
            self.kinds.setdefault(path, layer.kind)
        if layer.each:
            self.kinds.setdefault((*path, "*"), layer.each)

    def overwrite(self, path: KeyPath, layer: Layer) -> None:
        """Replace the value at ``path`` and its history by ``layer``."""
        self.merge((), layer.below(path))
        if path in self.settings:
            self.settings[path] = self.settings[path][-1:]

    def override(self, override: Override) -> None:
        """Apply an override, even one that Hydra rejects; with a check, only if that finds no violation."""
        path, source = tuple(split_key(override.key_or_group)), command_line(override.input_line)
        path = self._follow(path) if SETS_THROUGH_REFERENCES or override.is_delete() else path
        layer = layer_of(DELETED if override.is_delete() else override.value(), source)
        if self._has_violations(path, layer, override):
            return None
        if override.is_delete():
            return self._delete(path, source)
        for depth in range(1, len(path)):
            leaf = self.leaf(path[:depth])
            if leaf and isinstance(leaf.value, list):
                return self._set(path[:depth], Layer(_with_element(leaf.value, path[depth:], override.value()), source))
            if path[:depth] not in self.sections:
                self._forget(path[:depth])
                self.sections[path[:depth]] = source
        if not isinstance(layer.value, dict):
            return self._set(path, layer)
        leaf = self.leaf(path)
        if leaf and "${" in str(leaf.value):  # an override replaces an interpolation; a file would merge into its target
            self._forget(path)
            self.sections[path] = source
        return self.merge(path, layer, override)

    def leaf(self, path: KeyPath) -> Setting | None:
        """Return the setting in force at ``path``, or None if there is no value."""
        history = self.settings.get(path)
        return history[-1] if history and history[-1].value is not DELETED else None

    def container_type_at(self, path: KeyPath) -> type | None:
        """Return ``dict`` if ``path`` is (or refers to) a section, ``list`` if it is a list, else None."""
        leaf = self.leaf(path)
        for each in (path, self._target(path, leaf.value) if leaf else None):
            if each in self.sections:
                return dict
            found = self.leaf(each) if each is not None else None
            if found is not None and isinstance(found.value, list):
                return list
        return None

    def _has_violations(self, path: KeyPath, layer: Layer, override: Override | None) -> bool:
        found = self.check(self, path, layer, override) if self.check is not None and path else ()
        self.violations += found
        return bool(found)

    def _set(self, path: KeyPath, layer: Layer) -> None:
        if path in self.sections:
            self._clear(path, layer.source)
        self.demanded.pop(path, None)
        self._append(path, Setting(dotted(path), layer.value, layer.source, layer.written))

    def _append(self, path: KeyPath, setting: Setting) -> None:
        self.settings[path] = (*self.settings.get(path, ()), setting)

    def _open(self, path: KeyPath, source: Source) -> None:
        """Turn a leaf into a section: a copy of its interpolation's target, or the defaults of its type."""
        leaf = self._forget(path)
        target = self._target(path, leaf.value) if leaf else None
        self.sections[path] = source
        kind = self.kinds.get(path if leaf else (*path[:-1], "*"))
        if target in self.sections and target is not None:
            self._copy(target, path)
        elif kind:
            self.merge(path, layer_of_schema(kind))

    def _copy(self, target: KeyPath, path: KeyPath) -> None:
        for each in _below(target, self.sections):
            self.sections[path + each[len(target) :]] = self.sections[each]
        for each in filter(self.leaf, _below(target, self.settings)):
            moved = path + each[len(target) :]
            self.settings[moved] = tuple(dataclasses.replace(setting, key=dotted(moved)) for setting in self.settings[each])

    def _delete(self, path: KeyPath, source: Source) -> None:
        self._clear(path, source)
        history = self.settings.get(path)
        if not history or history[-1].value is not DELETED:
            self._append(path, Setting(dotted(path), DELETED, source))

    def _clear(self, path: KeyPath, source: Source) -> None:
        for each in _below(path, self.sections):
            del self.sections[each]
        for each in filter(self.leaf, _below(path, self.settings)):
            self._append(each, Setting(dotted(each), DELETED, source))

    def _forget(self, path: KeyPath) -> Setting | None:
        leaf = self.leaf(path)
        self.settings.pop(path, None)
        return leaf

    def _follow(self, path: KeyPath, hops: int = 0) -> KeyPath:
        """Return ``path`` with its parents replaced by the sections that they refer to."""
        for depth in range(1, len(path)):
            leaf = self.leaf(path[:depth])
            target = self._target(path[:depth], leaf.value, hops) if leaf else None
            if target is not None:
                return self._follow((*target, *path[depth:]), hops + 1)
        return path

    def _target(self, path: KeyPath, value: object, hops: int = 0) -> KeyPath | None:
        """Return the path that the interpolation ``value`` at ``path`` refers to in the end, or None."""
        found = re.fullmatch(r"\$\{(\.*)([^.${}:][^${}:]*)\}", value) if isinstance(value, str) else None
        if found is None or hops > 16:  # a circle
            return None
        up, key = found.groups()
        target = self._follow((*(path[: len(path) - len(up)] if up else ()), *split_key(key)), hops + 1)
        leaf = self.leaf(target)
        return self._target(target, leaf.value, hops + 1) or target if leaf else target


_SCHEMA_LAYERS: dict[Any, Layer] = {}


def layer_of_schema(kind: Any) -> Layer:
    """Return the (cached) layer of a structured config."""
    if kind not in _SCHEMA_LAYERS:
        _SCHEMA_LAYERS[kind] = layer_of_node(OmegaConf.structured(kind), DEFAULT)
    return _SCHEMA_LAYERS[kind]


def _below(path: KeyPath, paths: Iterable[KeyPath]) -> list[KeyPath]:
    return [each for each in paths if each[: len(path)] == path]


def _with_element(values: list[Any], path: KeyPath, value: object) -> Any:
    holder = OmegaConf.create(values)
    try:
        OmegaConf.update(holder, ".".join(path), value, force_add=True)
    except Exception:  # no such element: nothing changes, and Hydra will raise an error
        return values
    return OmegaConf.to_container(holder, resolve=False)


def split_key(key: str) -> list[str]:
    """``a.b[0]`` → ``a``, ``b``, ``0``."""
    return re.findall(r"[^.\[\]]+", key)


def dotted(path: KeyPath) -> str:
    """``("a", "b")`` → ``a.b``."""
    return ".".join(map(str, path))
