"""Compose a config: overrides → layers → fold → resolve → validate → suggest. Layers are read once.

The path of ``model.n_head=7``: ``read_overrides`` parses it. ``ConfigFiles`` asks Hydra which files the
chosen options load, and merges their layers into a ``Fold``. ``Fold.override`` checks and applies the
override. ``validate`` resolves and checks all values. If there are violations, ``compose.refusal`` adds
remedies (``suggest``). Hydra itself composes the config of a run, and any config that the fold does not model
(see :func:`needs_hydra`).
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

from gpt2hydra.composition.files import ConfigFiles, FoldedFiles, fold_schema, missing_schema_error, snapshot
from gpt2hydra.composition.fold import Fold, Provenance
from gpt2hydra.composition.hydra_errors import file_violation, unknown_error_violation
from gpt2hydra.composition.hydra_loader import ConfigLoader, make_search_path
from gpt2hydra.composition.hydra_section import check_hydra_overrides, check_mode, default_section, source_in_files
from gpt2hydra.composition.hydra_state import hydra_overrides, hydra_state, parse, set_job_fields, set_run_fields
from gpt2hydra.composition.layers import Layer
from gpt2hydra.composition.options import Options
from gpt2hydra.composition.overrides import Overrides, join_split_arguments, read_overrides
from gpt2hydra.composition.resolve import is_stateful, tree_of
from gpt2hydra.composition.schema import ROOTS, class_of_schema, inherits_groups, register_groups, register_schemas
from gpt2hydra.composition.validate import SharedSections, config_class_of, sort_violations, validate, validate_composed
from gpt2hydra.config.errors import ABSENT, ConfigError, Source, Violation, collect_violations
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.keys import keys_of
from gpt2hydra.config.validation import Checked, build

_BEFORE_SCHEMAS = SearchPathQuery(provider="schema")
"""The end of Hydra's search path; other folders must be before it."""

FindMissingFiles = Callable[[Checked], Sequence[Violation]]

ResumedValues = Callable[[type[Checked], Fold], Mapping[str, Layer]]
"""Returns the values, by key, of the earlier run that a config continues; none if it continues none."""


@dataclass
class Composition:
    """The result of composing a config: the source of each key, the values, and all violations."""

    root: type[Checked] | None = None
    folded: Fold = field(default_factory=Fold)
    overrides: Overrides = field(default_factory=Overrides)
    files: FoldedFiles | None = None
    values: dict[str, Any] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    needs_hydra: bool = False
    """Whether only Hydra can compute the values."""
    resume_failed: bool = False
    """Whether it continues an earlier run that cannot be read, so its values are unknown."""
    composed: DictConfig | None = None
    """The config that Hydra composed, ``hydra`` node included; None before that."""

    @cached_property
    def provenance(self) -> Provenance:
        """The source of each key."""
        return self.folded.provenance()

    @property
    def is_valid(self) -> bool:
        """Whether there is a configuration without violations."""
        return not self.violations and self.root is not None

    def composed_value(self, key: str) -> object:
        """Return the value that Hydra composed for ``key``; ABSENT if it cannot be resolved."""
        assert self.composed is not None
        try:
            return OmegaConf.select(self.composed, key)
        except Exception:  # resolvers may raise anything
            return ABSENT

    @cached_property
    def config(self) -> Checked:
        """The configuration.

        Raises:
            ConfigError: there are violations.
        """
        if self.violations or self.root is None:
            raise ConfigError(self.violations)
        return build(self.root, self.values)


class Composer:
    """Composes one primary config with any overrides, as often as needed."""

    def __init__(
        self,
        config_name: str,
        config_dir: str | Path | ConfigSearchPath,
        extra_dir: str | None = None,
        *,
        once: bool = False,
        config_class: type[Checked] | None = None,
        find_missing_files: FindMissingFiles = lambda config: (),
        resumed_values: ResumedValues = lambda root, folded: {},
    ) -> None:
        """Args:
        config_name: the primary config, without ``.yaml``.
        config_dir: its folder, or a complete search path.
        extra_dir: another folder to search, after ``config_dir`` (``--config-dir``).
        once: do not look for changed YAML files: the composer is used for one command.
        config_class: the class of the result; by default that of the schema in its defaults list.
        find_missing_files: returns the violations of a valid config, such as missing files. They are reported
            too, and no remedy may cause one.
        resumed_values: returns the values of the earlier run that a config continues. They replace the files
            of the default options.
        """
        setup_globals()
        if isinstance(config_dir, ConfigSearchPath):
            search_path = config_dir
        else:
            with hydra_state():
                search_path = make_search_path(str(config_dir))
        if extra_dir is not None:
            search_path.prepend("command-line", f"file://{os.path.abspath(extra_dir)}", _BEFORE_SCHEMAS)
        if str(config_dir) != str(CONF_DIR):  # a user's own application
            if "gpt2" not in ConfigStore.instance().repo:
                register_groups()
            if inherits_groups(config_class):
                search_path.prepend("gpt2hydra", f"file://{CONF_DIR}", _BEFORE_SCHEMAS)
        self.config_name, self.config_class, self.once = config_name, config_class, once
        self.find_missing_files, self.resumed_values = find_missing_files, resumed_values
        register_schemas(config_class, config_name)
        self.loader = ConfigLoader(search_path)
        self._search()
        self._sweep: DictConfig | None = None
        self._snapshot: tuple[Any, ...] | None = None

    def for_sweep(self, composed: DictConfig) -> Composer:
        """Return a composer for points of a sweep; Hydra's overrides and ``${now:}`` are ``composed``'s."""
        found = copy.copy(self)
        found._sweep = composed
        return found

    def with_searchpath(self, overrides: Iterable[str]) -> Composer:
        """Return a composer that also searches the folders of ``hydra.searchpath`` in ``overrides``."""
        texts = [text for text in overrides if re.match(r"\+{0,2}hydra\.searchpath=", text)]
        try:
            searchpath = [parse(text) for text in texts]
        except Exception:  # an override that cannot be parsed is reported elsewhere
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
        """Compose and validate, with Hydra if needed; never raise. ``job`` is the number of a job of a sweep.

        Within a running job, ``${hydra:...}`` refers to that job.
        """
        with hydra_state():
            found = self.fold(overrides)
            if found.violations or not found.needs_hydra:
                self.check_hydra_section(found)
            else:
                self.add_hydra_composition(found, job)
                if found.composed is not None:
                    if not HydraConfig.initialized():
                        set_run_fields(found.composed)
                    self.accept_composed(found, found.composed)
            return found

    def fold(self, overrides: Sequence[str]) -> Composition:
        """Compose and validate without Hydra's own composition."""
        with hydra_state():
            self._refresh()
            return self.with_searchpath(overrides)._fold(overrides)

    def _fold(self, texts: Sequence[str]) -> Composition:
        overrides = read_overrides(texts, self.options)
        files = self._files.fold(overrides)
        if files is None:
            return self._check_overrides_only(overrides)
        root = files.root
        wrong_mode = [*check_mode(files.sections, overrides)] if self._sweep is None else []
        if root is None:
            folded = files.folded.copy()
            for override in overrides.values:
                folded.override(override)
            wrong = [*overrides.violations, *wrong_mode, *folded.violations]
            return Composition(None, folded, overrides, files, {}, wrong, needs_hydra=True)
        overrides.violations = join_split_arguments(texts, overrides.violations, self.options, root)
        ambiguous = self.options.check_choices(overrides.choices, root)
        chosen_groups = {each.key_or_group for each in overrides.choices} - {each.key for each in ambiguous}
        wrong_keys = {each.key for each in (*overrides.violations, *ambiguous)}
        folded, resume_violations = _apply_overrides(files, overrides, wrong_keys, chosen_groups), list[Violation]()
        with collect_violations(resume_violations):
            if earlier := self.resumed_values(root, folded):
                files = self._files.fold_over(earlier, files.chosen, overrides)
                folded = _apply_overrides(files, overrides, wrong_keys, chosen_groups)
        found = [*overrides.violations, *wrong_mode, *ambiguous, *resume_violations, *folded.violations]
        all_uncertain = bool(overrides.incomplete or resume_violations)
        left_out = wrong_keys - chosen_groups
        keys = keys_of(root) if all_uncertain or left_out else ()
        uncertain = [key for key in keys if all_uncertain or key.partition(".")[0] in left_out]
        values, broken = validate(folded, root, files.shared, {each.key for each in found} - chosen_groups, uncertain)
        result = Composition(root, folded, overrides, files, values)
        result.needs_hydra, result.resume_failed = needs_hydra(files, overrides), bool(resume_violations)
        if found or broken:
            found = [self._name_options(each) if each.value is ABSENT else each for each in (*found, *broken)]
            result.violations = sort_violations(root, [result.provenance.add_source(each) for each in found])
        return result

    def _check_overrides_only(self, overrides: Overrides) -> Composition:
        """Check each override separately: the files cannot be composed, so their values are unknown."""
        root = self.config_class or ROOTS.get(f"{self.config_name}_schema")
        if root is None or not root.HAS_SCHEMA:
            return Composition(overrides=overrides, violations=[*overrides.violations])
        folded = fold_schema(root)
        for override in overrides.values:
            folded.override(override)
        _, broken = validate(folded, root, SharedSections(folded), uncertain=[*keys_of(root)])
        traced = map(folded.provenance().add_source, (*folded.violations, *broken))
        typed = [replace(each, remedy={}, replaced=None) for each in traced if each.is_typed]
        return Composition(overrides=overrides, violations=sort_violations(root, [*overrides.violations, *typed]))

    def _name_options(self, violation: Violation) -> Violation:
        """Return the violation; if a section lacks a value because no option was chosen, with the options."""
        options = self.options.of(violation.key) if violation.source is None else ()
        if not options:
            return violation
        rule, remedy = f"must be one of {', '.join(options)}", self.options.remedy(violation.key)
        return replace(violation, rule=rule, remedy=remedy)

    def _refresh(self) -> None:
        """Discard everything that was read if a file, a stored config or the environment changed."""
        if self.once:
            return
        folders = [source.path for source in self.options.repository.get_sources() if source.scheme() == "file"]
        now = snapshot(folders)
        if now != self._snapshot:
            self._search(self.options.searchpath)  # its folders may differ now
            self._snapshot = now

    # ------------------------------------------------------------------------------------------------------ by Hydra

    def compose_by_hydra(
        self, overrides: Sequence[str], run_mode: RunMode = RunMode.RUN, *, leave_sweeps_out: bool = False
    ) -> DictConfig:
        """Return the config that Hydra composes, ``hydra`` node included.

        Sweep overrides raise or are left out.
        """
        register_schemas(self.config_class, self.config_name)
        return self.loader.load_configuration(
            self.config_name, list(overrides), run_mode, validate_sweep_overrides=not leave_sweeps_out
        )

    def compose_point(self, overrides: Sequence[str], number: int) -> DictConfig:
        """Return a point of the sweep as Hydra's launchers compose it, with the ``${now:}`` of the sweep."""
        shared = [] if self._sweep is None else hydra_overrides(self._sweep.hydra)
        config = self.compose_by_hydra([*overrides, *shared])
        if self._sweep is not None:
            OmegaConf.copy_cache(self._sweep, config)
        return set_job_fields(config, number)

    def class_of(self, config: DictConfig) -> type[Checked]:
        """Return the configuration class of a composed config.

        Raises:
            ConfigError: the class is given, and its schema is not in the defaults list.
        """
        if self.config_class is not None and not self.config_class.HAS_SCHEMA:
            return self.config_class
        if self.config_class is None or class_of_schema(config) is self.config_class:
            return config_class_of(config)
        raise missing_schema_error(self.config_class, self.config_name)

    def job_directory(self, overrides: Sequence[str], number: int) -> str:
        """Return the output directory of a point of a sweep."""
        with hydra_state():
            return str(self.compose_point(overrides, number).hydra.runtime.output_dir)

    def add_hydra_composition(self, found: Composition, job: int | None = None, *, leave_sweeps_out: bool = False) -> None:
        """Set ``found.composed`` to the config that Hydra composes, or add the violation that prevents it."""
        texts = found.overrides.texts
        try:
            composed = (
                self.compose_point(texts, job)
                if job is not None
                else self.compose_by_hydra(texts, leave_sweeps_out=leave_sweeps_out)
            )
            if found.files is not None and found.files.is_resumed:  # add the values of the earlier run
                composed.merge_with(tree_of(found.folded))
            found.composed = composed
        except Exception as error:
            self.check_hydra_section(found)
            if not found.violations:
                named = (
                    unknown_error_violation(error)
                    if found.root is not None
                    else file_violation(error, f"{self.config_name}.yaml")
                )
                found.violations.append(named)

    def check_hydra_section(self, found: Composition) -> None:
        """Add the violations of Hydra's own config on the command line and in files, which the fold ignores."""
        found.violations += check_hydra_overrides(found.overrides, self.compose_by_hydra)
        if found.files is not None and found.files.wrong_sections:
            found.violations += found.files.wrong_sections
            found.violations = sort_violations(found.root, found.violations) if found.root is not None else found.violations

    def hydra_section(self, found: Composition) -> DictConfig | None:
        """Return a config with Hydra's section, composed or built from files; None if Hydra must compose it."""
        if found.files is None or found.needs_hydra or found.files.wrong_sections:
            return found.composed
        return default_section(self.options.repository, [section for section, _ in found.files.sections])

    def hydra_source(self, key: str, overrides: Sequence[str]) -> Source | None:
        """Return the file that set a key of Hydra's own section, or None. The fold ignores that section."""
        files = self.fold(overrides).files
        return None if files is None else source_in_files(key, [section for section, _ in files.sections])

    def accept_composed(self, found: Composition, config: DictConfig) -> None:
        """Validate and use the values of Hydra's ``config``, if the fold needs Hydra or differs from it."""
        if found.violations or not (found.provenance.correct_from(config) or found.needs_hydra):
            return
        found.root = self.class_of(config)
        found.values, violations = validate_composed(config, found.root)
        found.violations += map(found.provenance.add_source, violations)


def _apply_overrides(files: FoldedFiles, overrides: Overrides, wrong_keys: set[str], chosen_groups: set[str]) -> Fold:
    """Return the files with the overrides, except those of invalid sections and of ``wrong_keys``."""
    folded = files.folded.copy()
    wrong = (wrong_keys | {each.key for each in folded.violations}) - chosen_groups
    for override in overrides.values:
        if override.key_or_group.partition(".")[0] not in wrong:
            folded.override(override)
    return folded


def needs_hydra(files: FoldedFiles, overrides: Overrides) -> bool:
    """Return whether only Hydra can compute the values: they set Hydra's keys, or depend on more than files."""
    return (
        files.needs_hydra
        or bool(overrides.hydra)
        or any(not each.is_delete() and is_stateful(each.value()) for each in overrides.values)
    )
