"""Composing, fast: Hydra stays the authority, and is asked for as little as the question needs.

A composed config depends on the chosen group options, which is the slow part, and on the values set over them. So
:class:`Composer` lets Hydra compose each choice of options once, without its own ``hydra/*`` node, and applies plain value
overrides to that through OmegaConf's typed update, which is what Hydra does too (:mod:`gpt2hydra.composition.composed`).
Whatever is not provably the same (deletions, additions, lists, ``${hydra:...}``, an override that fails) goes through Hydra's
full composition.
"""

from __future__ import annotations

import copy
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.default_element import ResultDefault
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override, OverrideType
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override, open_dict

from gpt2hydra.composition.composed import Composed
from gpt2hydra.composition.gate import config_class_of, instantiate, set_by_hand
from gpt2hydra.composition.hydra_compat import (
    ConfigLoader,
    DefaultsList,
    Repository,
    defaults_list,
    load_default,
    open_repository,
    search_path_from,
    search_path_of,
)
from gpt2hydra.composition.hydra_state import as_job, hydra_overrides, hydra_state, parse
from gpt2hydra.composition.hydras_section import hydra_takes
from gpt2hydra.composition.options import Options
from gpt2hydra.composition.schema import (
    class_of_schema,
    file_of_option,
    inherits_groups,
    register_groups,
    register_schemas,
    schema_names,
)
from gpt2hydra.composition.watch import surroundings
from gpt2hydra.composition.yaml_traps import may_be_misread, misread
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.validation import Checked

if TYPE_CHECKING:
    from gpt2hydra.composition.provenance import Provenance

C = TypeVar("C", bound=Checked)

_KEPT = 64
"""Choices of options of which a composition is kept."""

_SCHEMAS = SearchPathQuery(provider="schema")
"""What Hydra searches last, and wants to stay there."""


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
    ) -> None:
        """Args:
        config_name: the primary config, without ``.yaml``.
        config_dir: the folder that holds it, or all that Hydra searches.
        extra_dir: one more folder to search, after that one (``--config-dir``).
        once: for one command, during which YAML files do not change, so that they are not looked at again.
        config_class: what the config becomes; by default told by the schema in its defaults list.
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
        self.config_name, self.config_class = config_name, config_class
        register_schemas(config_class, config_name)
        self.loader = ConfigLoader(search_path)
        self.options = Options(self.loader, config_name)
        self.once = once
        self.look: Callable[[Checked], Sequence[Violation]] = lambda config: ()
        """What a valid config names that is not there, such as a file: a refusal tells it too, and no remedy brings it."""
        self.sweep: DictConfig | None = None
        """What Hydra composed for a sweep as a whole: its points share Hydra's own overrides with it, and its clock."""
        self._kept: OrderedDict[tuple[str, ...], Composed] = OrderedDict()
        self._surroundings: tuple[Any, ...] | None = None
        self._files: frozenset[str] = frozenset()

    @classmethod
    def of_running_job(cls) -> Composer:
        """The composer of the Hydra job that runs here, by what Hydra knows of it, in whatever process a launcher runs it."""
        hydra = HydraConfig.get()
        sources = ((each.provider, each.schema, each.path) for each in hydra.runtime.config_sources)
        absolute = (
            (provider, f"{schema}://{os.path.join(hydra.runtime.cwd, path) if schema == 'file' else path}")
            for provider, schema, path in sources
        )
        return cls(str(hydra.job.config_name), search_path_from(absolute), once=True)

    def searching(self, overrides: Iterable[str]) -> Composer:
        """The same composer, or one that knows the folders which ``hydra.searchpath`` on the command line adds."""
        texts = [text for text in overrides if re.match(r"\+{0,2}hydra\.searchpath=", text)]
        try:
            searchpath = [parse(text) for text in texts]
        except Exception:  # it is reported as an override that cannot be read
            return self
        if not searchpath:
            return self
        found = copy.copy(self)
        found.options, found._kept = Options(self.loader, self.config_name, searchpath), OrderedDict()
        return found

    # ---------------------------------------------------------------------------------------------- whole configs

    def full(self, overrides: Sequence[str], run_mode: RunMode = RunMode.RUN, *, leave_sweeps_out: bool = False) -> DictConfig:
        """What Hydra composes, ``hydra`` node included. Overrides that sweep are refused, or left out."""
        register_schemas(self.config_class, self.config_name)
        self.loader.merged.clear()
        config = self.loader.load_configuration(
            self.config_name, list(overrides), run_mode, validate_sweep_overrides=not leave_sweeps_out
        )
        self._files = self._merged_files()
        return config

    def point(self, overrides: Sequence[str], number: int) -> DictConfig:
        """A point of the sweep as Hydra's launchers compose it for its job: ``${now:...}`` is the sweep's, the same in each."""
        shared = [] if self.sweep is None else hydra_overrides(self.sweep.hydra)
        config = self.full([*overrides, *shared])
        if self.sweep is not None:
            OmegaConf.copy_cache(self.sweep, config)
        return as_job(config, number)

    def instantiate(self, overrides: Sequence[str], job: int | None = None) -> Checked:
        """Compose, for a job of a sweep by its number, and pass the gate. ``${hydra:...}`` is that of a job that runs here.

        What is refused is refused by the gate or by Hydra, with their errors.
        """
        with hydra_state():
            self._refresh()
            choices, values = self._split(overrides)
            kept = self._composed(choices) if values is not None else None
            if kept is not None and values is not None:
                with kept.overridden(values) as config:
                    if config is not None:
                        self._files = kept.files
                        return self.gate(config, overrides)
            config = self.full(overrides) if job is None else self.point(overrides, job)
            if job is not None or not HydraConfig.initialized():
                HydraConfig.instance().set_config(config)
            return self.gate(config, overrides)

    def gate(self, config: DictConfig, overrides: Sequence[str]) -> Checked:
        """What was composed last, from ``overrides``, as an object of its class.

        Raises:
            ConfigError: with every violation that the gate finds, or what else stands in the way.
        """
        return self.read_as_meant(instantiate(config, self.class_of(config)), overrides)

    def class_of(self, config: DictConfig) -> type[Checked]:
        """What a composed config becomes.

        Raises:
            ConfigError: the class is known, and its schema is not in the defaults list.
        """
        if self.config_class is None or class_of_schema(config) is self.config_class:
            return config_class_of(config)
        names, usual = schema_names(self.config_class, self.config_name), f"{self.config_name}_schema"
        schema = usual if usual in names else names[0]
        rule = f"must list {schema}, which knows the keys of {self.config_class.__name__}, first in its defaults"
        raise ConfigError([Violation(f"{self.config_name}.yaml", rule=rule)])

    def job_directory(self, overrides: Sequence[str], number: int) -> str:
        """The output directory of a point of a sweep."""
        with hydra_state():
            return str(self.point(overrides, number).hydra.runtime.output_dir)

    def read_as_meant(self, config: C, overrides: Sequence[str]) -> C:
        """``config``, composed last, if every section has one choice, and YAML read every value as it was meant.

        Raises:
            ConfigError: it did not; see :mod:`gpt2hydra.composition.yaml_traps`.
        """
        parsed = [*map(parse, overrides)]
        refused = [*self.options.unclear(parsed, type(config)), *set_by_hand(parsed, type(config))]
        if refused:
            raise ConfigError(refused)
        if may_be_misread(self._files, type(config)):
            violations = misread(self.trace(overrides), type(config))
            if violations:
                raise ConfigError(violations)
        return config

    def trace(self, overrides: Sequence[str]) -> Provenance:
        """Who set each value of this config with ``overrides``."""
        from gpt2hydra.composition.provenance import trace  # a valid configuration rarely needs it

        with hydra_state():
            return trace(self.loader, self.config_name, list(overrides))

    # --------------------------------------------------------------------------------------------------- the parts

    def repository(self) -> Repository:
        """The YAML files and schemas to compose from, each read once."""
        register_schemas(self.config_class, self.config_name)
        return open_repository(self.loader, self.config_name, self.options.searchpath)

    def defaults(self, repository: Repository, choices: list[Override], *, prepend_hydra: bool) -> DefaultsList:
        """The configs that make up the result, in order."""
        return defaults_list(repository, self.config_name, choices, prepend_hydra=prepend_hydra)

    def merge(self, defaults: Iterable[ResultDefault], repository: Repository) -> DictConfig:
        """Merge what the defaults list names, as Hydra does. Of its own node there is what the files say, and no more."""
        config = OmegaConf.create({"hydra": {}})
        with flag_override(config, "no_deepcopy_set_nodes", True):
            for default in defaults:
                config.merge_with(load_default(self.loader, default, repository))
        OmegaConf.set_struct(config, True)
        return config

    def _split(self, overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override] | None]:
        """Group choices, and value overrides if all of them are plain ones; None where Hydra must decide."""
        choices, values = [], []
        for text in overrides:
            override = parse(text)
            key, value = override.key_or_group, override.value()
            if override.is_sweep_override() or override.is_hydra_override() or override.package is not None:
                return (), None
            if self.options.is_group(key) and not isinstance(value, dict):
                choices.append(text)
            elif override.type is OverrideType.CHANGE and (value is None or isinstance(value, (int, float, str))):
                values.append(override)
            else:
                return (), None
        return tuple(choices), values

    def _composed(self, choices: tuple[str, ...]) -> Composed | None:
        """What these choices make, or None where it may be otherwise the next time."""
        if choices not in self._kept:
            self._kept[choices] = self._compose(choices)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(choices)
        composed = self._kept[choices]
        return None if composed.unstable else composed

    def _compose(self, choices: tuple[str, ...]) -> Composed:
        try:
            repository = self.repository()
            self.loader.merged.clear()
            defaults = self.defaults(repository, [parse(text) for text in choices], prepend_hydra=False)
            config, files = self.merge(defaults.defaults, repository), self._merged_files()
            hydras = any(str(each.config_path).startswith("hydra/") for each in defaults.defaults)
            if hydras or not hydra_takes(OmegaConf.to_container(config.hydra, resolve=False)):
                config, files = self.full(choices), self._files
        except Exception:  # the choice touches Hydra's own groups, or it is wrong: Hydra composes it, or says so
            config, files = self.full(choices), self._files
        with open_dict(config):
            del config["hydra"]
        return Composed.of(config, files)

    def _merged_files(self) -> frozenset[str]:
        """The YAML files that the last composition was made of."""
        files = (file or file_of_option(config_path) for config_path, file in self.loader.merged)
        return frozenset(file for file in files if file is not None)

    def _refresh(self) -> None:
        """Forget what was composed when something changed that it depends on."""
        if self.once and self._surroundings is not None:
            return
        folders = [source.path for source in self.options.repository.get_sources() if source.scheme() == "file"]
        now = surroundings(folders)
        if now != self._surroundings:
            self._kept.clear()
            self.options = Options(self.loader, self.config_name, self.options.searchpath)  # there may be other folders now
            self._surroundings = now
