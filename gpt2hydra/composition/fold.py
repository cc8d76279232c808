"""The fold: layers laid over each other as OmegaConf merges them. Each key keeps all its settings.

Values stay as they were written, untyped and unresolved. A :data:`Judge` says of each what the schema cannot
hold: that becomes a violation with its source, is left out, and the fold continues. Without a judge
everything is laid over everything.
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
from gpt2hydra.composition.layers import Layer, Path, agree, layer_of, layer_of_node, leaf_nodes, raw
from gpt2hydra.config.errors import ABSENT, DEFAULT, DELETED, Setting, Source, Violation, command_line
from gpt2hydra.config.keys import field_at, leaves
from gpt2hydra.config.validation import Checked


@dataclass
class Provenance:
    """Every key that was set.

    ``settings`` maps each leaf (lists and empty mappings are leaves) to its settings, the last one in force;
    ``sections`` maps each mapping to the last source that wrote into it.
    ``demanded`` maps what a source asks for with ``???``, over a value that Hydra keeps, to that source.
    """

    settings: dict[str, tuple[Setting, ...]]
    sections: dict[str, Source]
    demanded: dict[str, Source] = field(default_factory=dict)

    def setting(self, key: str) -> Setting | None:
        """What is in force under ``key``; of a part of a list or of a deleted section, what set all of it."""
        if key in self.sections and key not in self.settings:
            return Setting(key, ABSENT, self.sections[key])
        name = self._nearest(key)
        return None if name is None else self.settings[name][-1]

    def source(self, key: str) -> Source | None:
        """Who set ``key``, if it was set."""
        setting = self.setting(key)
        return setting.source if setting else None

    def replaced(self, key: str) -> Setting | None:
        """What the setting in force replaced, if it was another value."""
        *_, before, last = (None, None, *self.settings.get(key, ()))
        unchanged = before is not None and last is not None and repr(before.value) == repr(last.value)
        return None if before is None or unchanged or before.value in (DELETED, MISSING) else before

    def blame(self, violation: Violation) -> Violation:
        """``violation`` with who set its key, and what that replaced; as it is where it knows who."""
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
        """The same with ``of(source)`` in place of each source."""
        settings = {
            key: tuple(dataclasses.replace(each, source=of(each.source)) for each in chain)
            for key, chain in self.settings.items()
        }
        sections, demanded = ({key: of(each) for key, each in found.items()} for found in (self.sections, self.demanded))
        return Provenance(settings, sections, demanded)

    def changes(self, config: Checked) -> list[Setting]:
        """Every value of ``config`` that differs from the schema's default, with who set it."""
        found = []
        for key, value in leaves(config):
            field, source = field_at(type(config), key), self.source(key)
            if field is not None and "rule" in field.metadata and value != field.default and source is not None:
                found.append(Setting(key, value, source))
        return found

    def verify(self, cfg: DictConfig) -> frozenset[str]:
        """The keys that Hydra composed otherwise: its value is now in force, with the source ``untraced``."""
        folded = {key: chain[-1].value for key, chain in self.settings.items() if chain[-1].value is not DELETED}
        composed = {dotted(path): node for path, node in leaf_nodes(cfg) if path[0] != "hydra"}
        agreed = {key for key in folded.keys() & composed.keys() if agree(composed[key], folded[key])}
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


Judge = Callable[["Fold", Path, Layer, "Override | None"], Sequence[Violation]]
"""What cannot be laid at a path; nothing where it can. An override comes along with its layer."""


class Fold:
    """A config in the making. Merges as OmegaConf does, but for types, and forgets nothing."""

    def __init__(self, judge: Judge | None = None, violations: Iterable[Violation] = ()) -> None:
        self.judge, self.violations = judge, [*violations]
        self.chains: dict[Path, tuple[Setting, ...]] = {}
        self.sections: dict[Path, Source] = {(): DEFAULT}
        self.kinds: dict[Path, Any] = {}
        self.demanded: dict[Path, Source] = {}

    def copy(self) -> Fold:
        """The same, to be folded on without a change to this one."""
        other = Fold(self.judge, self.violations)
        other.chains, other.sections, other.kinds = {**self.chains}, {**self.sections}, {**self.kinds}
        other.demanded = {**self.demanded}
        return other

    def changed_since(self, earlier: Fold) -> set[Any]:
        """The keys at the top below which something changed since this was copied from ``earlier``."""
        changed = {path[0] for path, chain in self.chains.items() if earlier.chains.get(path) is not chain}
        return changed | {path[0] for path in earlier.chains.keys() - self.chains.keys()}

    def provenance(self) -> Provenance:
        """Who set each key, by dotted key."""
        sections = {dotted(path): source for path, source in self.sections.items() if path}
        filled = {path[:-1] for path in (*self.sections, *filter(self.leaf, self.chains)) if path}
        settings = {dotted(path): chain for path, chain in self.chains.items()}
        for key, source in ((dotted(path), self.sections[path]) for path in self.sections.keys() - filled if path):
            settings[key] = (*settings.get(key, ()), Setting(key, {}, source))
        demanded = {dotted(path): source for path, source in self.demanded.items()}
        return Provenance(settings, sections, demanded=demanded)

    def merge(self, path: Path, layer: Layer, override: Override | None = None) -> None:
        """Lay ``layer`` over what is at ``path``."""
        if path[:1] == ("hydra",) or self._refused(path, layer, override):
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

    def begin(self, path: Path, layer: Layer) -> None:
        """Lay ``layer`` in place of what is at ``path``, as if that had never been there."""
        self.merge((), layer.below(path))
        if path in self.chains:
            self.chains[path] = self.chains[path][-1:]

    def override(self, override: Override) -> None:
        """Apply an override as it was typed, unless the judge refuses it."""
        path, source = tuple(split_key(override.key_or_group)), command_line(override.input_line)
        path = self._follow(path) if SETS_THROUGH_REFERENCES or override.is_delete() else path
        layer = layer_of(DELETED if override.is_delete() else override.value(), source)
        if self._refused(path, layer, override):
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
        if leaf and "${" in str(leaf.value):  # an interpolation is replaced, where a file would add to what it refers to
            self._forget(path)
            self.sections[path] = source
        return self.merge(path, layer, override)

    def leaf(self, path: Path) -> Setting | None:
        """The setting in force at ``path``, where there is a value."""
        chain = self.chains.get(path)
        return chain[-1] if chain and chain[-1].value is not DELETED else None

    def kind_at(self, path: Path) -> type | None:
        """``dict`` of a section, ``list`` of a list, also where ``path`` refers to one; else None."""
        leaf = self.leaf(path)
        for each in (path, self._target(path, leaf.value) if leaf else None):
            if each in self.sections:
                return dict
            found = self.leaf(each) if each is not None else None
            if found is not None and isinstance(found.value, list):
                return list
        return None

    def _refused(self, path: Path, layer: Layer, override: Override | None) -> bool:
        found = self.judge(self, path, layer, override) if self.judge is not None and path else ()
        self.violations += found
        return bool(found)

    def _set(self, path: Path, layer: Layer) -> None:
        if path in self.sections:
            self._clear(path, layer.source)
        self.demanded.pop(path, None)
        self._append(path, Setting(dotted(path), layer.value, layer.source, layer.written))

    def _append(self, path: Path, setting: Setting) -> None:
        self.chains[path] = (*self.chains.get(path, ()), setting)

    def _open(self, path: Path, source: Source) -> None:
        """Make a section of a leaf: a copy of what it refers to, or the defaults of its type."""
        leaf = self._forget(path)
        target = self._target(path, leaf.value) if leaf else None
        self.sections[path] = source
        kind = self.kinds.get(path if leaf else (*path[:-1], "*"))
        if target in self.sections and target is not None:
            self._copy(target, path)
        elif kind:
            self.merge(path, layer_of_schema(kind))

    def _copy(self, target: Path, path: Path) -> None:
        for each in _below(target, self.sections):
            self.sections[path + each[len(target) :]] = self.sections[each]
        for each in filter(self.leaf, _below(target, self.chains)):
            moved = path + each[len(target) :]
            self.chains[moved] = tuple(dataclasses.replace(setting, key=dotted(moved)) for setting in self.chains[each])

    def _delete(self, path: Path, source: Source) -> None:
        self._clear(path, source)
        chain = self.chains.get(path)
        if not chain or chain[-1].value is not DELETED:
            self._append(path, Setting(dotted(path), DELETED, source))

    def _clear(self, path: Path, source: Source) -> None:
        for each in _below(path, self.sections):
            del self.sections[each]
        for each in filter(self.leaf, _below(path, self.chains)):
            self._append(each, Setting(dotted(each), DELETED, source))

    def _forget(self, path: Path) -> Setting | None:
        leaf = self.leaf(path)
        self.chains.pop(path, None)
        return leaf

    def _follow(self, path: Path, hops: int = 0) -> Path:
        """``path`` through the sections that its parents refer to by interpolation."""
        for depth in range(1, len(path)):
            leaf = self.leaf(path[:depth])
            target = self._target(path[:depth], leaf.value, hops) if leaf else None
            if target is not None:
                return self._follow((*target, *path[depth:]), hops + 1)
        return path

    def _target(self, path: Path, value: object, hops: int = 0) -> Path | None:
        """What the interpolation ``value`` at ``path`` refers to in the end."""
        found = re.fullmatch(r"\$\{(\.*)([^.${}:][^${}:]*)\}", value) if isinstance(value, str) else None
        if found is None or hops > 16:  # a circle
            return None
        up, key = found.groups()
        target = self._follow((*(path[: len(path) - len(up)] if up else ()), *split_key(key)), hops + 1)
        leaf = self.leaf(target)
        return self._target(target, leaf.value, hops + 1) or target if leaf else target


_KINDS: dict[Any, Layer] = {}


def layer_of_schema(kind: Any) -> Layer:
    """What a structured config says of itself."""
    if kind not in _KINDS:
        _KINDS[kind] = layer_of_node(OmegaConf.structured(kind), DEFAULT)
    return _KINDS[kind]


def _below(path: Path, paths: Iterable[Path]) -> list[Path]:
    return [each for each in paths if each[: len(path)] == path]


def _with_element(values: list[Any], path: Path, value: object) -> Any:
    holder = OmegaConf.create(values)
    try:
        OmegaConf.update(holder, ".".join(path), value, force_add=True)
    except Exception:  # no such element: nothing changes, and Hydra will refuse it
        return values
    return OmegaConf.to_container(holder, resolve=False)


def split_key(key: str) -> list[str]:
    """``a.b[0]`` → ``a``, ``b``, ``0``."""
    return re.findall(r"[^.\[\]]+", key)


def dotted(path: Path) -> str:
    """``("a", "b")`` → ``a.b``."""
    return ".".join(map(str, path))
