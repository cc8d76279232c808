"""Who set a value: for every key of a composed config, its source and the chain of settings that it replaced.

Hydra keeps no such record, so composition is replayed: the configs of the defaults list are laid over each other in
order, then the overrides, each value carrying its source. Values stay as they were written, untyped and unresolved, so a
config that Hydra refuses can be traced too. :meth:`Provenance.verify` compares the replay with what Hydra composed.
"""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import MISSING, DictConfig, OmegaConf

from gpt2hydra.composition.hydra_compat import (
    SETS_THROUGH_REFERENCES,
    ConfigLoader,
    DefaultsList,
    Repository,
    defaults_list,
    open_repository,
)
from gpt2hydra.composition.sources import Layer, Path, agree, layer_of, layer_of_node, layers_of, leaf_nodes
from gpt2hydra.config.errors import ABSENT, DEFAULT, DELETED, Setting, Source, Violation, command_line
from gpt2hydra.config.keys import field_at, leaves
from gpt2hydra.config.validation import Checked


@dataclass
class Provenance:
    """Every key that was set.

    ``settings`` maps each leaf (lists and empty mappings are leaves) to its settings, the last one in force;
    ``sections`` maps each mapping to the last source that wrote into it; ``inexact`` is what :meth:`verify` found.
    ``demanded`` maps what a source asks for with ``???``, over a value that Hydra keeps, to that source.
    """

    settings: dict[str, tuple[Setting, ...]]
    sections: dict[str, Source]
    inexact: frozenset[str] = field(default=frozenset())
    demanded: dict[str, Source] = field(default_factory=dict)

    def setting(self, key: str) -> Setting | None:
        """What is in force under ``key``; of a part of a list or of a deleted section, what set the whole."""
        if key in self.sections and key not in self.settings:
            return Setting(key, ABSENT, self.sections[key])
        name = self._nearest(key)
        if name is None:
            return None
        last = self.settings[name][-1]
        return dataclasses.replace(last, source=Source("untraced")) if name in self.inexact else last

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
        setting = self.setting(violation.key)
        if violation.source is not None or setting is None:
            return violation
        deleted = setting.value is DELETED and setting.source.kind != "untraced"
        replaced = None if setting.source.kind == "untraced" else self.replaced(setting.key)
        action = "deleted" if deleted else violation.action
        return dataclasses.replace(violation, source=setting.source, action=action, replaced=replaced)

    def changes(self, config: Checked) -> list[Setting]:
        """Every value of ``config`` that differs from the schema's default, with who set it."""
        found = []
        for key, value in leaves(config):
            field, source = field_at(type(config), key), self.source(key)
            if field is not None and "rule" in field.metadata and value != field.default and source is not None:
                found.append(Setting(key, value, source))
        return found

    def verify(self, cfg: DictConfig) -> frozenset[str]:
        """The keys that Hydra composed otherwise, from the same overrides; :meth:`setting` admits it from now on."""
        replayed = {key: chain[-1].value for key, chain in self.settings.items() if chain[-1].value is not DELETED}
        composed = {_dotted(path): node for path, node in leaf_nodes(cfg) if path[0] != "hydra"}
        agreed = {key for key in replayed.keys() & composed.keys() if agree(composed[key], replayed[key])}
        self.inexact = frozenset((replayed.keys() | composed.keys()) - agreed)
        return self.inexact

    def _nearest(self, key: str) -> str | None:
        name = re.sub(r"\[(\w+)\]", r".\1", key)
        while name and name not in self.settings:
            name = name.rpartition(".")[0]
        return name or None


def trace(loader: ConfigLoader, config_name: str | None, overrides: Sequence[str | Override]) -> Provenance:
    """Trace every key of ``config_name`` with ``overrides``.

    The config need not compose: wrong types, unknown keys and missing choices do not matter as long as every file that
    the defaults list names can be read.

    Raises:
        HydraException: for a defaults list or an override that Hydra cannot make sense of.
    """
    parser = OverridesParser.create()
    parsed = [parser.parse_override(each) if isinstance(each, str) else each for each in overrides]
    repo = open_repository(loader, config_name, parsed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # composing gives the same ones
        found = _defaults_list(repo, config_name, parsed)
    return replay(found.defaults, repo, found.config_overrides)


def _defaults_list(repo: Repository, config_name: str | None, overrides: list[Override]) -> DefaultsList:
    try:  # Hydra's own node would cost more than all the rest
        ours = [each for each in overrides if not each.is_hydra_override()]
        return defaults_list(repo, config_name, ours, prepend_hydra=False, skip_missing=True)
    except Exception:  # a config with 'override hydra/launcher: ...' needs it
        return defaults_list(repo, config_name, overrides, prepend_hydra=True, skip_missing=True)


def replay(defaults: Iterable[ResultDefault], repo: Repository, overrides: Iterable[Override]) -> Provenance:
    """Trace what a defaults list, which Hydra computed, and overrides of values (not of groups) make of a config."""
    composition = _Replay()
    for default in defaults:
        package = split_key(default.package) if default.package else []
        if default.config_path is not None and package[:1] != ["hydra"]:
            for layer in layers_of(repo, default.config_path):
                composition.merge((), layer.below(package))
    for override in overrides:
        if not override.is_hydra_override():
            composition.override(override)
    return composition.provenance()


# ------------------------------------------------------------------------------------------------------- the replay


class _Replay:
    """A config in the making. Merges as OmegaConf does, but for types, and forgets nothing."""

    def __init__(self) -> None:
        self.chains: dict[Path, list[Setting]] = {}
        self.sections: dict[Path, Source] = {(): DEFAULT}
        self.kinds: dict[Path, Any] = {}
        self.demanded: dict[Path, Source] = {}

    def provenance(self) -> Provenance:
        sections = {_dotted(path): source for path, source in self.sections.items() if path}
        filled = {path[:-1] for path in (*self.sections, *filter(self._leaf, self.chains)) if path}
        settings = {_dotted(path): tuple(chain) for path, chain in self.chains.items()}
        for key, source in ((_dotted(path), self.sections[path]) for path in self.sections.keys() - filled if path):
            settings[key] = (*settings.get(key, ()), Setting(key, {}, source))
        demanded = {_dotted(path): source for path, source in self.demanded.items()}
        return Provenance(settings, sections, demanded=demanded)

    def merge(self, path: Path, layer: Layer) -> None:
        """Lay ``layer`` over what is at ``path``."""
        if path[:1] == ("hydra",):
            return
        if isinstance(layer.value, dict):
            if path not in self.sections:
                self._open(path, layer.source)
            self.sections[path] = layer.source
            for key, below in layer.value.items():
                self.merge((*path, key), below)
        elif layer.value != MISSING or not (path in self.sections or self._leaf(path)):
            self._set(path, layer)
        else:
            self.demanded[path] = layer.source
        if layer.kind:
            self.kinds.setdefault(path, layer.kind)
        if layer.each:
            self.kinds.setdefault((*path, "*"), layer.each)

    def override(self, override: Override) -> None:
        """Apply an override as typed, whether or not Hydra would let it."""
        path, source = tuple(split_key(override.key_or_group)), command_line(override.input_line)
        if override.is_delete():
            return self._delete(self._follow(path), source)
        value: Any = override.value()
        path = self._follow(path) if SETS_THROUGH_REFERENCES else path
        for depth in range(1, len(path)):
            leaf = self._leaf(path[:depth])
            if leaf and isinstance(leaf.value, list):
                return self._set(path[:depth], Layer(_with_element(leaf.value, path[depth:], value), source))
            if path[:depth] not in self.sections:
                self._forget(path[:depth])
                self.sections[path[:depth]] = source
        layer = layer_of(value, source)
        if not isinstance(value, dict):
            return self._set(path, layer)
        leaf = self._leaf(path)
        if leaf and "${" in str(leaf.value):  # an interpolation is replaced, where a file would add to what it refers to
            self._forget(path)
            self.sections[path] = source
        return self.merge(path, layer)

    def _leaf(self, path: Path) -> Setting | None:
        chain = self.chains.get(path)
        return chain[-1] if chain and chain[-1].value is not DELETED else None

    def _set(self, path: Path, layer: Layer) -> None:
        if path in self.sections:
            self._clear(path, layer.source)
        self.demanded.pop(path, None)
        setting = Setting(_dotted(path), layer.value, layer.source, layer.written)
        self.chains.setdefault(path, []).append(setting)

    def _open(self, path: Path, source: Source) -> None:
        """Make a section of a leaf: of an interpolation, a copy of what it refers to; of a typed leaf, its defaults."""
        leaf = self._forget(path)
        target = self._target(path, leaf.value) if leaf else None
        self.sections[path] = source
        kind = self.kinds.get(path if leaf else (*path[:-1], "*"))
        if target in self.sections and target is not None:
            self._copy(target, path)
        elif kind:
            self.merge(path, layer_of_node(OmegaConf.structured(kind), DEFAULT))

    def _copy(self, target: Path, path: Path) -> None:
        for each in _below(target, self.sections):
            self.sections[path + each[len(target) :]] = self.sections[each]
        for each in filter(self._leaf, _below(target, self.chains)):
            moved = path + each[len(target) :]
            self.chains[moved] = [dataclasses.replace(setting, key=_dotted(moved)) for setting in self.chains[each]]

    def _delete(self, path: Path, source: Source) -> None:
        self._clear(path, source)
        chain = self.chains.setdefault(path, [])
        if not chain or chain[-1].value is not DELETED:
            chain.append(Setting(_dotted(path), DELETED, source))

    def _clear(self, path: Path, source: Source) -> None:
        for each in _below(path, self.sections):
            del self.sections[each]
        for each in filter(self._leaf, _below(path, self.chains)):
            self.chains[each].append(Setting(_dotted(each), DELETED, source))

    def _forget(self, path: Path) -> Setting | None:
        leaf = self._leaf(path)
        self.chains.pop(path, None)
        return leaf

    def _follow(self, path: Path, hops: int = 0) -> Path:
        """``path`` through the sections that its parents refer to by interpolation."""
        for depth in range(1, len(path)):
            leaf = self._leaf(path[:depth])
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
        leaf = self._leaf(target)
        return self._target(target, leaf.value, hops + 1) or target if leaf else target


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


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
