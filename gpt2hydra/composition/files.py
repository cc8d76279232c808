"""The files that chosen options bring, each read and folded once, before any override of a value."""

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

from gpt2hydra.composition.conf_file import package_of, why_not_global
from gpt2hydra.composition.defaults_list import Chosen, choose, name_of
from gpt2hydra.composition.fold import Fold, layer_of_schema, split_key
from gpt2hydra.composition.hydra_loader import file_of
from gpt2hydra.composition.hydra_section import FileSection, depends_on_plugins, refused_section
from gpt2hydra.composition.judge import Schema, is_modelled, unmergeable
from gpt2hydra.composition.layers import Layer, displayed, layers_of
from gpt2hydra.composition.options import Options
from gpt2hydra.composition.overrides import Overrides
from gpt2hydra.composition.resolve import is_stateful
from gpt2hydra.composition.schema import ROOTS, register_schemas, schema_names, schema_of
from gpt2hydra.composition.validate import SharedSections
from gpt2hydra.config.errors import ABSENT, ConfigError, Violation, command_line
from gpt2hydra.config.keys import field_at, may_stand
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.paths import walk

_KEPT = 64
"""Choices of options of which the fold is kept."""


@dataclass(frozen=True)
class FoldedFiles:
    """The files of a choice, laid over each other; ``root`` is None where they have no schema."""

    chosen: Chosen
    root: type[Checked] | None
    folded: Fold
    sections: list[FileSection]
    """What files say of Hydra itself."""
    stored: bool = False
    """Whether a config that Python stored is among them."""
    continues: bool = False
    """Whether they are laid over an earlier run's values, and only those that the command line chooses."""

    @cached_property
    def shared(self) -> SharedSections:
        """What compositions that override other sections share."""
        return SharedSections(self.folded)

    @cached_property
    def wrong_sections(self) -> list[Violation]:
        """What is wrong in the ``hydra:`` sections, but for what depends on plugins."""
        sections = [(section, primary) for section, primary in self.sections if not depends_on_plugins(section)]
        return [each for section, primary in sections for each in refused_section(section, is_primary=primary)]

    @cached_property
    def needs_hydra(self) -> bool:
        """Whether only Hydra can tell what the values are."""
        if self.chosen.hydras or any(depends_on_plugins(section) for section, _ in self.sections):
            return True
        stateful = any(is_stateful(chain[-1].value) for chain in self.folded.chains.values())
        return stateful or self.root is None or not is_modelled(self.root)


class ConfigFiles:
    """The files of one primary config."""

    def __init__(self, options: Options, config_class: type[Checked] | None) -> None:
        self.options, self.config_class = options, config_class
        self._kept: OrderedDict[tuple[str, ...], FoldedFiles] = OrderedDict()
        self._layers: dict[str, list[Layer]] = {}

    def fold(self, overrides: Overrides) -> FoldedFiles | None:
        """Fold the chosen files; None where there are none. Wrong choices are added to ``overrides``.

        Raises:
            ConfigError: the class is known, and its schema is not in the defaults list.
        """
        choices = tuple(str(each.input_line) for each in overrides.choices)
        if choices in self._kept:
            self._kept.move_to_end(choices)
            return self._kept[choices]
        before = len(overrides.violations), len(overrides.values)
        chosen = choose(self.options, overrides)
        if chosen is None:
            return None
        files = self._fold(chosen, overrides)
        if before == (len(overrides.violations), len(overrides.values)):
            self._kept[choices] = files
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return files

    def over(self, earlier: Mapping[str, Layer], chosen: Chosen, overrides: Overrides) -> FoldedFiles:
        """Fold the ``chosen`` files that the command line brings over ``earlier`` values, by key."""
        usual = choose(self.options, Overrides())
        assert usual is not None
        typed = {each.get_key_element().lstrip("+") for each in overrides.choices}
        others = [each for each in chosen.files if each in usual.files and each.override_key not in typed]
        return self._fold(chosen, overrides, earlier, others)

    def _fold(
        self,
        chosen: Chosen,
        overrides: Overrides,
        earlier: Mapping[str, Layer] = MappingProxyType({}),
        left_out: Sequence[ResultDefault] = (),
    ) -> FoldedFiles:
        """Lay all over each other; what is ``left_out`` sets only schemas and Hydra's own section."""
        layers = [(default, layer) for default in chosen.files for layer in self._layers_of(default)]
        root = self._root(layer for default, layer in layers if not default.package)
        folded = Fold(Schema(root, chosen.groups) if root is not None else unmergeable)
        sections = []
        if root is not None:
            folded.violations += self._before_schema(chosen.files, root)
        schemas = [each for each in layers if each[1].schema is not None and not each[0].package]
        for _, layer in schemas:
            folded.merge((), layer)
        for key, layer in earlier.items():
            folded.begin(tuple(split_key(key)), layer)
        for default, layer in (each for each in layers if each not in schemas):
            placed = layer.below(split_key(default.package) if default.package else [])
            if isinstance(placed.value, dict) and "hydra" in placed.value:
                sections.append(FileSection(placed.value["hydra"], default.config_path == self.options.config_name))
            if default in left_out:
                continue
            misplaced = [*self._misplaced(default, layer, root, chosen, overrides)] if root is not None else []
            folded.violations += misplaced
            if not misplaced:
                folded.merge((), placed)
        for override in overrides.incomplete if root is not None else ():
            self._merge_incomplete(folded, override)
        stored = any(layer.source.kind != "file" for _, layer in layers)
        return FoldedFiles(chosen, root, folded, sections, stored, bool(earlier))

    def _merge_incomplete(self, folded: Fold, override: Override) -> None:
        """Lay the file of an option over the others, without what its defaults list brings."""
        file = file_of(self.options.repository, name_of(override))
        if file is None:
            return
        package = split_key(override.package or package_of(Path(file), override.key_or_group))
        with suppress(Exception):  # it is reported as a file that cannot be read
            for layer in [*layers_of(self.options.repository, name_of(override))]:
                folded.merge((), layer.below(package))

    def _layers_of(self, default: ResultDefault) -> list[Layer]:
        name = str(default.config_path)
        if name not in self._layers:
            register_schemas(self.config_class, self.options.config_name)
            self._layers[name] = [*layers_of(self.options.repository, name)]
        return self._layers[name]

    def _root(self, layers: Iterable[Layer]) -> type[Checked] | None:
        """The class that the config becomes: that of its schema; None where it has none.

        Raises:
            ConfigError: the class is known, and its schema is not in the defaults list.
        """
        found = [each.schema for each in layers if each.schema is not None]
        if self.config_class is not None and self.config_class.HAS_SCHEMA and self.config_class not in found:
            raise without_schema(self.config_class, self.options.config_name)
        return self.config_class or (found[-1] if found else None)

    def _before_schema(self, files: list[ResultDefault], root: type[Checked]) -> Iterator[Violation]:
        """The violation of a primary config, or of a choice in it, before the schema, which overwrites it."""
        names = [str(each.config_path) for each in files]
        schema = next((name for name in names if ROOTS.get(name) is root), None)
        early = files[: names.index(schema)] if schema is not None else []
        if self.options.config_name in names[: len(early)]:
            rule = f"_self_ must stand after {schema} in its defaults list"
        elif schema is not None and any(field_at(root, str(each.package)) for each in early):
            rule = f"{schema} must stand first in its defaults list"
        else:
            return
        file = file_of(self.options.repository, self.options.config_name)
        yield Violation(self.options.config_name if file is None else displayed(file), rule=rule)

    def _misplaced(
        self, default: ResultDefault, layer: Layer, root: type[Checked], chosen: Chosen, overrides: Overrides
    ) -> Iterator[Violation]:
        """The violation of an option of a group without a section: an experiment that is not global."""
        group = str(default.package or "").partition(".")[0]
        if group not in chosen.groups or field_at(root, group) is not None or may_stand(root, group):
            return
        typed = next((each.input_line for each in overrides.choices if each.key_or_group == group), None)
        option = typed.partition("=")[2] if typed else chosen.groups[group]
        file = file_of(self.options.repository, str(default.config_path))
        rule = why_not_global(Path(file)) if file is not None else "must begin with the line # @package _global_"
        keys = [str(key) for key in layer.value] if isinstance(layer.value, dict) else []
        if keys and not any(field_at(root, key) for key in keys):  # then it is not certain that they belong to the top
            where = displayed(file) if file is not None else str(default.config_path)
            rule = f"names {where}, whose keys belong to a section {group}, and {root.__name__} has no such section"
        yield Violation(group, option or ABSENT, rule, command_line(typed) if typed else None)


def schema_alone(root: type[Checked]) -> Fold:
    """The schema of a class, for overrides to be laid over it where no file can be."""
    folded = Fold(Schema(root, ()))
    folded.merge((), layer_of_schema(schema_of(root)))
    return folded


def without_schema(config_class: type[Checked], config_name: str) -> ConfigError:
    """The refusal of a primary config that does not list the schema of its class."""
    names, usual = schema_names(config_class, config_name), f"{config_name}_schema"
    schema = usual if usual in names else names[0]
    rule = f"must list {schema}, which knows the keys of {config_class.__name__}, first in its defaults"
    return ConfigError([Violation(f"{config_name}.yaml", rule=rule)])


# ------------------------------------------------------------------------------------- what a composition depends on


def surroundings(folders: Iterable[str]) -> tuple[Any, ...]:
    """Changes with any YAML file below ``folders``, node of the ConfigStore or environment variable."""
    return tuple(yaml_files(folders)), tuple(_stored(ConfigStore.instance().repo)), hash(frozenset(os.environ.items()))


def yaml_files(folders: Iterable[str]) -> Iterator[tuple[str, int, int]]:
    """``(path, modification time, size)`` of every YAML file below ``folders``, except locks of editors."""
    for each in folders:
        for folder, names in walk(each):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    status = os.stat(path) if name.endswith(".yaml") else None
                except OSError:  # a link to nothing, as editors leave them
                    continue
                if status is not None and stat.S_ISREG(status.st_mode):
                    yield path, status.st_mtime_ns, status.st_size


def _stored(repo: dict[str, Any]) -> Iterator[Any]:
    for value in repo.values():
        if isinstance(value, dict):
            yield from _stored(value)
        else:
            yield value.node
