"""Composing: overrides → layers → fold → resolve → validate → suggest, over layers that are read once.

:class:`Composer` asks Hydra which files the chosen options bring, lays them and the overrides over each other
(:mod:`gpt2hydra.composition.fold`), and checks what comes of it. Hydra itself composes what runs, and what
the fold does not model: :func:`needs_hydra` says what that is.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gpt2hydra.composition.files import ConfigFiles, FoldedFiles, schema_alone, surroundings, without_schema
from gpt2hydra.composition.fold import Fold, Provenance
from gpt2hydra.composition.hydra_errors import file_error, unexplained
from gpt2hydra.composition.hydra_loader import ConfigLoader, search_path_of
from gpt2hydra.composition.hydra_section import refused_mode, refused_overrides, source_in_files, usual_section
from gpt2hydra.composition.hydra_state import as_job, as_run, hydra_overrides, hydra_state, parse
from gpt2hydra.composition.layers import Layer
from gpt2hydra.composition.options import Options
from gpt2hydra.composition.overrides import Overrides, join_split_arguments, read
from gpt2hydra.composition.resolve import is_stateful, tree_of
from gpt2hydra.composition.schema import ROOTS, class_of_schema, inherits_groups, register_groups, register_schemas
from gpt2hydra.composition.validate import SharedSections, config_class_of, examine, in_order, validate
from gpt2hydra.config.errors import ABSENT, ConfigError, Source, Violation, collect_violations
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.keys import keys_of
from gpt2hydra.config.validation import Checked, build

_SCHEMAS = SearchPathQuery(provider="schema")
"""What Hydra searches last, and wants to stay there."""

FindAbsent = Callable[[Checked], Sequence[Violation]]

Begin = Callable[[type[Checked], Fold], Mapping[str, Layer]]
"""The values of the earlier run that a configuration of a class names, by key; none where it names none."""


@dataclass
class Composition:
    """What overrides make of a primary config: who set each key, the values, and everything that is wrong."""

    root: type[Checked] | None = None
    folded: Fold = field(default_factory=Fold)
    overrides: Overrides = field(default_factory=Overrides)
    files: FoldedFiles | None = None
    values: dict[str, Any] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    needs_hydra: bool = False
    """Whether only Hydra can tell the values."""
    start_unknown: bool = False
    """Whether it begins with an earlier run that cannot be read, so that the other values are not known."""
    composed: DictConfig | None = None
    """What Hydra composed, ``hydra`` node included, once it was asked."""

    @cached_property
    def provenance(self) -> Provenance:
        """Who set each key."""
        return self.folded.provenance()

    @property
    def is_valid(self) -> bool:
        """Whether there is a configuration, and nothing is wrong with it."""
        return not self.violations and self.root is not None

    def resolved(self, key: str) -> object:
        """The value that Hydra composed under ``key``; ABSENT where it cannot be resolved."""
        assert self.composed is not None
        try:
            return OmegaConf.select(self.composed, key)
        except Exception:  # resolvers raise what they like
            return ABSENT

    @cached_property
    def config(self) -> Checked:
        """The configuration.

        Raises:
            ConfigError: something is wrong.
        """
        if self.violations or self.root is None:
            raise ConfigError(self.violations)
        return build(self.root, self.values)


class Composer:
    """Composes one primary config over and over."""

    def __init__(
        self,
        config_name: str,
        config_dir: str | Path | ConfigSearchPath,
        extra_dir: str | None = None,
        *,
        once: bool = False,
        config_class: type[Checked] | None = None,
        find_absent: FindAbsent = lambda config: (),
        begin: Begin = lambda root, folded: {},
    ) -> None:
        """Args:
        config_name: the primary config, without ``.yaml``.
        config_dir: the folder that holds it, or all that Hydra searches.
        extra_dir: one more folder to search, after that one (``--config-dir``).
        once: for one command, during which YAML files do not change, so that they are not looked at again.
        config_class: what the config becomes; by default that of the schema in its defaults list.
        find_absent: what a valid config names that is not there, such as a file; a refusal reports it too,
            and no remedy brings it.
        begin: what a config begins with that continues an earlier run, in place of the files that nobody
            chose.
        """
        setup_globals()
        if isinstance(config_dir, ConfigSearchPath):
            search_path = config_dir
        else:
            with hydra_state():
                search_path = search_path_of(str(config_dir))
        if extra_dir is not None:
            search_path.prepend("command-line", f"file://{os.path.abspath(extra_dir)}", _SCHEMAS)
        if str(config_dir) != str(CONF_DIR):  # an application of somebody's own
            if "gpt2" not in ConfigStore.instance().repo:
                register_groups()
            if inherits_groups(config_class):
                search_path.prepend("gpt2hydra", f"file://{CONF_DIR}", _SCHEMAS)
        self.config_name, self.config_class, self.once = config_name, config_class, once
        self.find_absent, self.begin = find_absent, begin
        register_schemas(config_class, config_name)
        self.loader = ConfigLoader(search_path)
        self._search()
        self._sweep: DictConfig | None = None
        self._surroundings: tuple[Any, ...] | None = None

    def of_sweep(self, composed: DictConfig) -> Composer:
        """The same for points of a sweep, which share Hydra's own overrides and the clock of ``composed``."""
        found = copy.copy(self)
        found._sweep = composed
        return found

    def with_searchpath(self, overrides: Iterable[str]) -> Composer:
        """The same, or one that searches what ``hydra.searchpath`` on the command line adds."""
        texts = [text for text in overrides if re.match(r"\+{0,2}hydra\.searchpath=", text)]
        try:
            searchpath = [parse(text) for text in texts]
        except Exception:  # it is reported as an override that cannot be read
            return self
        if searchpath == [*self.options.searchpath]:
            return self
        found = copy.copy(self)
        found._search(searchpath)
        return found

    def _search(self, searchpath: Iterable[Override] = ()) -> None:
        """Read all files anew, also those in the folders that overrides of ``hydra.searchpath`` add."""
        self.options = Options(self.loader, self.config_name, searchpath)
        self._files = ConfigFiles(self.options, self.config_class)

    # ------------------------------------------------------------------------------------------------- by the fold

    def compose(self, overrides: Sequence[str], job: int | None = None) -> Composition:
        """Compose ``overrides``, for a job of a sweep by its number; what is wrong is in the result.

        ``${hydra:...}`` is that of a job that runs here.
        """
        with hydra_state():
            found = self.fold(overrides)
            if found.violations or not found.needs_hydra:
                self.check_hydra_section(found)
            else:
                self.ask_hydra(found, job)
                if found.composed is not None:
                    if not HydraConfig.initialized():
                        as_run(found.composed)
                    self.accept_composed(found, found.composed)
            return found

    def fold(self, overrides: Sequence[str]) -> Composition:
        """Fold and validate, without Hydra's own composition."""
        with hydra_state():
            self._refresh()
            return self.with_searchpath(overrides)._fold(overrides)

    def _fold(self, texts: Sequence[str]) -> Composition:
        overrides = read(texts, self.options)
        files = self._files.fold(overrides)
        if files is None:
            return self._without_files(overrides)
        root = files.root
        wrong_mode = [*refused_mode(files.sections, overrides)] if self._sweep is None else []
        if root is None:
            folded = files.folded.copy()
            for override in overrides.values:
                folded.override(override)
            wrong = [*overrides.violations, *wrong_mode, *folded.violations]
            return Composition(None, folded, overrides, files, {}, wrong, needs_hydra=True)
        overrides.violations = join_split_arguments(texts, overrides.violations, self.options, root)
        several = self.options.unclear(overrides.choices, root)
        clear = {each.key_or_group for each in overrides.choices} - {each.key for each in several}
        unclear = {each.key for each in (*overrides.violations, *several)}
        folded, unread = _with_overrides(files, overrides, unclear, clear), list[Violation]()
        with collect_violations(unread):
            if earlier := self.begin(root, folded):
                files = self._files.over(earlier, files.chosen, overrides)
                folded = _with_overrides(files, overrides, unclear, clear)
        found = [*overrides.violations, *wrong_mode, *several, *unread, *folded.violations]
        of_all = bool(overrides.incomplete or unread)
        left_out = unclear - clear
        keys = keys_of(root) if of_all or left_out else ()
        unsure = [key for key in keys if of_all or key.partition(".")[0] in left_out]
        values, broken = validate(folded, root, files.shared, {each.key for each in found} - clear, unsure)
        result = Composition(root, folded, overrides, files, values)
        result.needs_hydra, result.start_unknown = needs_hydra(files, overrides), bool(unread)
        if found or broken:
            found = [self._as_choice(each) if each.value is ABSENT else each for each in (*found, *broken)]
            result.violations = in_order(root, [result.provenance.blame(each) for each in found])
        return result

    def _without_files(self, overrides: Overrides) -> Composition:
        """What is wrong with each override by itself, where the files cannot be composed."""
        root = self.config_class or ROOTS.get(f"{self.config_name}_schema")
        if root is None or not root.HAS_SCHEMA:
            return Composition(overrides=overrides, violations=[*overrides.violations])
        folded = schema_alone(root)
        for override in overrides.values:
            folded.override(override)
        _, broken = validate(folded, root, SharedSections(folded), unsure=[*keys_of(root)])
        blamed = map(folded.provenance().blame, (*folded.violations, *broken))
        typed = [replace(each, remedy={}, replaced=None) for each in blamed if each.is_typed]
        return Composition(overrides=overrides, violations=in_order(root, [*overrides.violations, *typed]))

    def _as_choice(self, violation: Violation) -> Violation:
        """The violation of a section without a value, in the words of a choice if it has options."""
        options = self.options.of(violation.key) if violation.source is None else ()
        if not options:
            return violation
        rule, remedy = f"must be one of {', '.join(options)}", self.options.remedy(violation.key)
        return replace(violation, rule=rule, remedy=remedy)

    def _refresh(self) -> None:
        """Forget what was read when something changed that it depends on."""
        if self.once:
            return
        folders = [source.path for source in self.options.repository.get_sources() if source.scheme() == "file"]
        now = surroundings(folders)
        if now != self._surroundings:
            self._search(self.options.searchpath)  # there may be other folders now
            self._surroundings = now

    # ------------------------------------------------------------------------------------------------------ by Hydra

    def compose_by_hydra(
        self, overrides: Sequence[str], run_mode: RunMode = RunMode.RUN, *, leave_sweeps_out: bool = False
    ) -> DictConfig:
        """What Hydra composes, ``hydra`` node included. Overrides that sweep are refused, or left out."""
        register_schemas(self.config_class, self.config_name)
        return self.loader.load_configuration(
            self.config_name, list(overrides), run_mode, validate_sweep_overrides=not leave_sweeps_out
        )

    def compose_point(self, overrides: Sequence[str], number: int) -> DictConfig:
        """Compose a point as Hydra's launchers do for its job: ``${now:...}`` is that of the sweep."""
        shared = [] if self._sweep is None else hydra_overrides(self._sweep.hydra)
        config = self.compose_by_hydra([*overrides, *shared])
        if self._sweep is not None:
            OmegaConf.copy_cache(self._sweep, config)
        return as_job(config, number)

    def class_of(self, config: DictConfig) -> type[Checked]:
        """What a composed config becomes.

        Raises:
            ConfigError: the class is known, and its schema is not in the defaults list.
        """
        if self.config_class is not None and not self.config_class.HAS_SCHEMA:
            return self.config_class
        if self.config_class is None or class_of_schema(config) is self.config_class:
            return config_class_of(config)
        raise without_schema(self.config_class, self.config_name)

    def job_directory(self, overrides: Sequence[str], number: int) -> str:
        """The output directory of a point of a sweep."""
        with hydra_state():
            return str(self.compose_point(overrides, number).hydra.runtime.output_dir)

    def ask_hydra(self, found: Composition, job: int | None = None, *, leave_sweeps_out: bool = False) -> None:
        """Let Hydra compose the same, or report why it cannot."""
        texts = found.overrides.texts
        try:
            composed = (
                self.compose_point(texts, job)
                if job is not None
                else self.compose_by_hydra(texts, leave_sweeps_out=leave_sweeps_out)
            )
            if found.files is not None and found.files.continues:  # what the earlier run has
                composed.merge_with(tree_of(found.folded))
            found.composed = composed
        except Exception as error:
            self.check_hydra_section(found)
            if not found.violations:
                named = unexplained(error) if found.root is not None else file_error(error, f"{self.config_name}.yaml")
                found.violations.append(named)

    def check_hydra_section(self, found: Composition) -> None:
        """Add what is wrong with Hydra's own config, which the fold leaves out."""
        found.violations += refused_overrides(found.overrides, self.compose_by_hydra)
        if found.files is not None and found.files.wrong_sections:
            found.violations += found.files.wrong_sections
            found.violations = in_order(found.root, found.violations) if found.root is not None else found.violations

    def hydra_section(self, found: Composition) -> DictConfig | None:
        """A config with Hydra's own section, if the files tell all of it, or Hydra composed it already."""
        if found.files is None or found.needs_hydra or found.files.wrong_sections:
            return found.composed
        return usual_section(self.options.repository, [section for section, _ in found.files.sections])

    def hydra_source(self, key: str, overrides: Sequence[str]) -> Source | None:
        """The file that set a key of Hydra's own section, which the fold leaves aside."""
        files = self.fold(overrides).files
        return None if files is None else source_in_files(key, [section for section, _ in files.sections])

    def accept_composed(self, found: Composition, config: DictConfig) -> None:
        """Where the fold differs, take what Hydra composed, unless something is wrong already."""
        if found.violations or not (found.provenance.verify(config) or found.needs_hydra):
            return
        found.root = self.class_of(config)
        found.values, violations = examine(config, found.root)
        found.violations += map(found.provenance.blame, violations)


def _with_overrides(files: FoldedFiles, overrides: Overrides, unclear: set[str], clear: set[str]) -> Fold:
    """The files with the overrides over them, except in sections that are ``unclear`` or wrong in files."""
    folded = files.folded.copy()
    wrong = (unclear | {each.key for each in folded.violations}) - clear
    for override in overrides.values:
        if override.key_or_group.partition(".")[0] not in wrong:
            folded.override(override)
    return folded


def needs_hydra(files: FoldedFiles, overrides: Overrides) -> bool:
    """Whether only Hydra can compose these: its own keys are set, or values depend on more than files."""
    return (
        files.needs_hydra
        or bool(overrides.hydra)
        or any(not each.is_delete() and is_stateful(each.value()) for each in overrides.values)
    )
