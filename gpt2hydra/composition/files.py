"""Merge the files of the chosen options, before overrides of values. Each combination is merged once."""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override

from gpt2hydra.composition.conf_file import explain_not_global, package_of
from gpt2hydra.composition.defaults_list import Chosen, choose, name_of
from gpt2hydra.composition.fold import Fold, layer_of_schema, split_key
from gpt2hydra.composition.hydra_loader import user_file
from gpt2hydra.composition.hydra_section import FileSection, check_file_section, depends_on_plugins
from gpt2hydra.composition.layers import Layer, display_path, layers_of
from gpt2hydra.composition.merge_check import SchemaCheck, check_mergeable, is_modelled
from gpt2hydra.composition.options import Options
from gpt2hydra.composition.overrides import Overrides
from gpt2hydra.composition.resolve import is_stateful
from gpt2hydra.composition.schema import ROOTS, register_schemas, schema_names, schema_of
from gpt2hydra.composition.validate import SharedSections
from gpt2hydra.config.errors import ABSENT, ConfigError, Violation, command_line
from gpt2hydra.config.keys import field_at, is_allowed_key
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.paths import walk

_MAX_CACHED = 64
"""Combinations of options whose merged files are cached."""


@dataclass(frozen=True)
class FoldedFiles:
    """The merged files of the chosen options; ``root`` is None if they have no schema."""

    chosen: Chosen
    root: type[Checked] | None
    folded: Fold
    sections: list[FileSection]
    """The ``hydra:`` sections of the files."""
    stored: bool = False
    """Whether one of the files is a config of the ConfigStore."""
    is_resumed: bool = False
    """Whether a run is continued: over its values, only files chosen on the command line are merged."""

    @cached_property
    def shared(self) -> SharedSections:
        """The sections that all compositions of these files share, unless their overrides change them."""
        return SharedSections(self.folded)

    @cached_property
    def wrong_sections(self) -> list[Violation]:
        """The violations in the ``hydra:`` sections, except those that depend on plugins."""
        sections = [(section, primary) for section, primary in self.sections if not depends_on_plugins(section)]
        return [each for section, primary in sections for each in check_file_section(section, is_primary=primary)]

    @cached_property
    def needs_hydra(self) -> bool:
        """Whether only Hydra can compute the values of the files."""
        if self.chosen.hydra_configs or any(depends_on_plugins(section) for section, _ in self.sections):
            return True
        stateful = any(is_stateful(history[-1].value) for history in self.folded.settings.values())
        return stateful or self.root is None or not is_modelled(self.root)


class ConfigFiles:
    """Merges the files of one primary config."""

    def __init__(self, options: Options, config_class: type[Checked] | None) -> None:
        self.options, self.config_class = options, config_class
        self._cache: OrderedDict[tuple[str, ...], FoldedFiles] = OrderedDict()
        self._layers: dict[str, list[Layer]] = {}

    def fold(self, overrides: Overrides) -> FoldedFiles | None:
        """Return the merged files of the choices; None if none load. Add violations to ``overrides``.

        Raises:
            ConfigError: the class is given, and its schema is not in the defaults list.
        """
        choices = tuple(str(each.input_line) for each in overrides.choices)
        if choices in self._cache:
            self._cache.move_to_end(choices)
            return self._cache[choices]
        before = len(overrides.violations), len(overrides.values)
        chosen = choose(self.options, overrides)
        if chosen is None:
            return None
        files = self._fold(chosen, overrides)
        if before == (len(overrides.violations), len(overrides.values)):
            self._cache[choices] = files
            if len(self._cache) > _MAX_CACHED:
                self._cache.popitem(last=False)
        return files

    def fold_over(self, earlier: Mapping[str, Layer], chosen: Chosen, overrides: Overrides) -> FoldedFiles:
        """Return the files chosen on the command line, merged over ``earlier``: values of a run, by key."""
        defaults = choose(self.options, Overrides())
        assert defaults is not None
        typed = {each.get_key_element().lstrip("+") for each in overrides.choices}
        others = [each for each in chosen.files if each in defaults.files and each.override_key not in typed]
        return self._fold(chosen, overrides, earlier, others)

    def _fold(
        self,
        chosen: Chosen,
        overrides: Overrides,
        earlier: Mapping[str, Layer] = MappingProxyType({}),
        left_out: Sequence[ResultDefault] = (),
    ) -> FoldedFiles:
        """Merge all layers; of ``left_out`` files, only schemas and ``hydra:`` sections are used."""
        layers = [(default, layer) for default in chosen.files for layer in self._layers_of(default)]
        root = self._root(layer for default, layer in layers if not default.package)
        folded = Fold(SchemaCheck(root, chosen.groups) if root is not None else check_mergeable)
        sections = []
        if root is not None:
            folded.violations += self._check_schema_order(chosen.files, root)
        schemas = [each for each in layers if each[1].schema is not None and not each[0].package]
        for _, layer in schemas:
            folded.merge((), layer)
        for key, layer in earlier.items():
            folded.overwrite(tuple(split_key(key)), layer)
        for default, layer in (each for each in layers if each not in schemas):
            placed = layer.below(split_key(default.package) if default.package else [])
            if isinstance(placed.value, dict) and "hydra" in placed.value:
                sections.append(FileSection(placed.value["hydra"], default.config_path == self.options.config_name))
            if default in left_out:
                continue
            misplaced = [*self._check_package(default, layer, root, chosen, overrides)] if root is not None else []
            folded.violations += misplaced
            if not misplaced:
                folded.merge((), placed)
        for override in overrides.incomplete if root is not None else ():
            self._merge_incomplete(folded, override)
        stored = any(layer.source.kind != "file" for _, layer in layers)
        return FoldedFiles(chosen, root, folded, sections, stored, bool(earlier))

    def _merge_incomplete(self, folded: Fold, override: Override) -> None:
        """Merge the file of an option without its (invalid) defaults list."""
        file = user_file(self.options.repository, name_of(override))
        if file is None:
            return
        package = split_key(override.package or package_of(Path(file), override.key_or_group))
        with suppress(Exception):  # a file that cannot be read is reported elsewhere
            for layer in [*layers_of(self.options.repository, name_of(override))]:
                folded.merge((), layer.below(package))

    def _layers_of(self, default: ResultDefault) -> list[Layer]:
        name = str(default.config_path)
        if name not in self._layers:
            register_schemas(self.config_class, self.options.config_name)
            self._layers[name] = [*layers_of(self.options.repository, name)]
        return self._layers[name]

    def _root(self, layers: Iterable[Layer]) -> type[Checked] | None:
        """Return the class of the result: the given one, or that of the last schema; None if there is none.

        Raises:
            ConfigError: the class is given, and its schema is not in the defaults list.
        """
        found = [each.schema for each in layers if each.schema is not None]
        if self.config_class is not None and self.config_class.HAS_SCHEMA and self.config_class not in found:
            raise missing_schema_error(self.config_class, self.options.config_name)
        return self.config_class or (found[-1] if found else None)

    def _check_schema_order(self, files: list[ResultDefault], root: type[Checked]) -> Iterator[Violation]:
        """Yield a violation if ``_self_`` or an option is before the schema, which would overwrite it."""
        names = [str(each.config_path) for each in files]
        schema = next((name for name in names if ROOTS.get(name) is root), None)
        before = files[: names.index(schema)] if schema is not None else []
        if self.options.config_name in names[: len(before)]:
            rule = f"_self_ must be after {schema} in its defaults list"
        elif schema is not None and any(field_at(root, str(each.package)) for each in before):
            rule = f"{schema} must be first in its defaults list"
        else:
            return
        file = user_file(self.options.repository, self.options.config_name)
        yield Violation(self.options.config_name if file is None else display_path(file), rule=rule)

    def _check_package(
        self, default: ResultDefault, layer: Layer, root: type[Checked], chosen: Chosen, overrides: Overrides
    ) -> Iterator[Violation]:
        """Yield a violation if a group has no section and its file has no ``# @package _global_``."""
        group = str(default.package or "").partition(".")[0]
        if group not in chosen.groups or field_at(root, group) is not None or is_allowed_key(root, group):
            return
        typed = next((each.input_line for each in overrides.choices if each.key_or_group == group), None)
        option = typed.partition("=")[2] if typed else chosen.groups[group]
        file = user_file(self.options.repository, str(default.config_path))
        rule = explain_not_global(Path(file)) if file is not None else "must begin with the line # @package _global_"
        keys = [str(key) for key in layer.value] if isinstance(layer.value, dict) else []
        if keys and not any(field_at(root, key) for key in keys):  # then the root may be the wrong place too
            where = display_path(file) if file is not None else str(default.config_path)
            rule = f"names {where}, whose keys belong to a section {group}, and {root.__name__} has no such section"
        yield Violation(group, option or ABSENT, rule, command_line(typed) if typed else None)


def fold_schema(root: type[Checked]) -> Fold:
    """Return a fold with only the schema of a class, to check overrides if no file can be merged."""
    folded = Fold(SchemaCheck(root, ()))
    folded.merge((), layer_of_schema(schema_of(root)))
    return folded


def missing_schema_error(config_class: type[Checked], config_name: str) -> ConfigError:
    """Return the error of a primary config that does not list the schema of its class."""
    names, defaults = schema_names(config_class, config_name), f"{config_name}_schema"
    schema = defaults if defaults in names else names[0]
    rule = f"must list {schema}, the schema of {config_class.__name__}, first in its defaults"
    return ConfigError([Violation(f"{config_name}.yaml", rule=rule)])


# ------------------------------------------------------------------------------------- what a composition depends on


def snapshot(folders: Iterable[str]) -> tuple[Any, ...]:
    """Return a snapshot of YAML files below ``folders``, ConfigStore and environment, to notice changes."""
    return tuple(yaml_files(folders)), tuple(_stored(ConfigStore.instance().repo)), hash(frozenset(os.environ.items()))


def yaml_files(folders: Iterable[str]) -> Iterator[tuple[str, int, int]]:
    """Yield ``(path, modification time in ns, size)`` of each YAML file below ``folders``, links followed."""
    for each in folders:
        for folder, names in walk(each):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    status = os.stat(path) if name.endswith(".yaml") else None
                except OSError:  # a dangling link, as lock files of editors are
                    continue
                if status is not None and stat.S_ISREG(status.st_mode):
                    yield path, status.st_mtime_ns, status.st_size


def _stored(repo: dict[str, Any]) -> Iterator[Any]:
    for value in repo.values():
        if isinstance(value, dict):
            yield from _stored(value)
        else:
            yield value.node
