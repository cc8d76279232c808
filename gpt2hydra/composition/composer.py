"""Composing, fast: Hydra stays the authority, and is asked for as little as the question needs.

A composed config depends on the chosen group options, which is the slow part, and on the values set over them. So
:class:`Composer` lets Hydra compose each choice of options once, without its own ``hydra/*`` node, and applies plain value
overrides to that through OmegaConf's typed update, which is what Hydra does too. Whatever is not provably the same
(deletions, additions, lists, ``${hydra:...}``, an override that fails) goes through Hydra's full composition.

What is called there is private to Hydra: :mod:`gpt2hydra.composition.hydra_internals`.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hydra import version
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.default_element import ResultDefault
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.core.utils import JobRuntime, setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override, open_dict, read_write

from gpt2hydra.composition.gate import config_class_of, instantiate, set_by_hand
from gpt2hydra.composition.hydra_internals import (
    DefaultsList,
    Repository,
    defaults_list,
    load_default,
    make_loader,
    open_repository,
    search_path_from,
    search_path_of,
    set_version_base,
)
from gpt2hydra.composition.schema import class_of_schema, inherits_groups, register_groups, register_schemas, schema_names
from gpt2hydra.config.checked import Checked
from gpt2hydra.config.errors import ABSENT, ConfigError, Violation, command_line
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.keys import field_at
from gpt2hydra.config.quoting import Typed

if TYPE_CHECKING:
    from gpt2hydra.composition.provenance import Provenance

C = TypeVar("C", bound=Checked)

_BASES_KEPT = 64
_SCHEMAS = SearchPathQuery(provider="schema")
"""What Hydra searches last, and wants to stay there."""
_LOCK = threading.RLock()  # Hydra's version base, job name and HydraConfig belong to the process

# A resolver whose value may differ from one composition to the next; ours and OmegaConf's own do not.
_UNSTABLE = re.compile(r"\$\{(?!gpt2\.|oc\.)[^${}:.]+:")


@contextmanager
def hydra_state(job_name: str = "gpt2hydra") -> Iterator[None]:
    """Set Hydra's process-wide state for one composition and give the caller's back, whatever happens."""
    with _LOCK:
        base, runtime, config = version.VersionBase.instance(), JobRuntime.instance(), HydraConfig.instance()
        before = base.version_base, runtime.get("name"), config.cfg
        set_version_base()
        runtime.set("name", job_name)
        try:
            yield
        finally:
            base.version_base, config.cfg = before[0], before[2]
            runtime.set("name", before[1])


@lru_cache(maxsize=4096)
def parse(override: str) -> Override:
    """Hydra's own parser, remembering what it parsed; the result must not be changed."""
    return OverridesParser.create().parse_override(override)


def task_overrides(hydra: Any) -> list[str]:
    """The overrides in a ``hydra`` node as they were typed: ``${...}`` stays what it is."""
    overrides: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    return list(overrides)


def hydra_overrides(hydra: Any) -> list[str]:
    """Those of Hydra's own config, as they were typed."""
    overrides: Any = OmegaConf.to_container(hydra.overrides.hydra, resolve=False)
    return list(overrides)


def as_job(config: DictConfig, number: int) -> DictConfig:
    """``config``, composed for a sweep, with what Hydra's launchers add for job ``number``."""
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.job.num, config.hydra.job.id = number, f"job_id_for_{number}"
    HydraConfig.instance().set_config(config)
    with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
        config.hydra.runtime.output_dir = os.path.abspath(os.path.join(config.hydra.sweep.dir, config.hydra.sweep.subdir))
    return config


class Composer:
    """Composes one primary config over and over."""

    def __init__(
        self,
        config_name: str,
        config_dir: str | Path | ConfigSearchPath,
        extra_dir: str | None = None,
        frozen: bool = False,
        config_class: type[Checked] | None = None,
    ) -> None:
        """Args:
        config_name: the primary config, without ``.yaml``.
        config_dir: the folder that holds it, or all that Hydra searches.
        extra_dir: one more folder to search, before the others (``--config-dir``).
        frozen: the YAML files do not change while this composer lives, so they are not looked at again.
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
        self.loader = make_loader(search_path)
        self.frozen = frozen
        self._bases: OrderedDict[tuple[Any, ...], _Base] = OrderedDict()
        self._stamp: tuple[Any, ...] | None = None
        self._suspicious: bool | None = None
        self._usual: dict[str, str | None] | None = None
        self.folders: tuple[str, ...] = ()
        self.sweep: DictConfig | None = None
        """What Hydra composed for a sweep as a whole: its points share Hydra's own overrides with it, and its clock."""

    @classmethod
    def of_running_job(cls) -> Composer:
        """The composer of the Hydra job that runs here, by what Hydra knows of it, in whatever process a launcher runs it."""
        hydra = HydraConfig.get()
        sources = ((source.provider, f"{source.schema}://{source.path}") for source in hydra.runtime.config_sources)
        return cls(str(hydra.job.config_name), search_path_from(sources), frozen=True)

    # ---------------------------------------------------------------------------------------------- whole configs

    def full(self, overrides: Sequence[str], run_mode: RunMode = RunMode.RUN, *, lawful: bool = True) -> DictConfig:
        """What Hydra composes, ``hydra`` node included. ``lawful=False`` tolerates sweeps, leaving them out."""
        register_schemas(self.config_class, self.config_name)
        config = self.loader.load_configuration(self.config_name, list(overrides), run_mode, validate_sweep_overrides=lawful)
        self.folders = tuple(source.path for source in config.hydra.runtime.config_sources if source.schema == "file")
        return config

    def instantiate(self, overrides: Sequence[str], job: int | None = None) -> Checked:
        """Compose, for a job of a sweep by its number, and pass the gate.

        What is refused is refused by the gate or by Hydra, with their errors.
        """
        with hydra_state():
            self._refresh()
            choices, values = self._split(overrides)
            if values is not None:
                base = self._base(choices)
                if base is not None:
                    with base.overridden(values) as config:
                        if config is not None:
                            return self.gate(config, overrides)
            config = self.full(overrides) if job is None else self.point(overrides, job)
            HydraConfig.instance().set_config(config)
            return self.gate(config, overrides)

    def gate(self, config: DictConfig, overrides: Sequence[str]) -> Checked:
        """What was composed from ``overrides`` as an object of its class.

        Raises:
            ConfigError: with every violation that the gate finds, or what else stands in the way.
        """
        return self.read_right(instantiate(config, self.class_of(config)), overrides)

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

    def point(self, overrides: Sequence[str], number: int) -> DictConfig:
        """A point of the sweep as Hydra's launchers compose it for its job: ``${now:...}`` is the sweep's, the same in each."""
        shared = [] if self.sweep is None else hydra_overrides(self.sweep.hydra)
        config = self.full([*overrides, *shared])
        if self.sweep is not None:
            OmegaConf.copy_cache(self.sweep, config)
        return as_job(config, number)

    def read_right(self, config: C, overrides: Sequence[str]) -> C:
        """``config``, if every section has one choice, and YAML read every value as it was meant.

        Raises:
            ConfigError: it did not; see :mod:`gpt2hydra.composition.yaml_traps`.
        """
        from gpt2hydra.composition.yaml_traps import misread, suspicious

        parsed = [*map(parse, overrides)]
        refused = [*self.unclear_choices(parsed, type(config)), *set_by_hand(parsed, type(config))]
        if refused:
            raise ConfigError(refused)
        if not self.folders:
            self.folders = self._source_folders()
        if self._suspicious is None:
            self._suspicious = suspicious((file for file, *_ in yaml_files(self.folders)), type(config))
        if self._suspicious:
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

    def repository(self, overrides: Iterable[Override] = ()) -> Repository:
        """The YAML files and schemas to compose from, each read once."""
        register_schemas(self.config_class, self.config_name)
        return open_repository(self.loader, self.config_name, list(overrides))

    def defaults(self, repository: Repository, choices: list[Override], *, prepend_hydra: bool) -> DefaultsList:
        """The configs that make up the result, in order."""
        return defaults_list(repository, self.config_name, choices, prepend_hydra=prepend_hydra)

    def merge(self, defaults: Iterable[ResultDefault], repository: Repository) -> DictConfig:
        """Merge what the defaults list names, as Hydra does, but for its own node."""
        config = OmegaConf.create({"hydra": {}})  # primary configs may set hydra.*; it is dropped below
        with flag_override(config, "no_deepcopy_set_nodes", True):
            for default in defaults:
                config.merge_with(load_default(self.loader, default, repository))
        OmegaConf.set_struct(config, True)
        with open_dict(config):
            del config["hydra"]
        return config

    def is_group(self, key: str) -> bool:
        """Whether ``key`` names a config group (a folder) rather than a value."""
        return any(source.is_group(key) for source in self.loader.repository.get_sources())

    def unclear_choices(self, overrides: Iterable[Override], config_class: type[Checked]) -> list[Violation]:
        """What leaves a section of ``config_class`` without the one option that it is to have of its group.

        Hydra lets ``~tokenizer`` fall back to the schema's defaults, and ``model=[small,large]`` lay one over the other.
        """
        violations = []
        for override in overrides:
            if not (override.is_delete() or isinstance(override.value(), list)):
                continue
            key, typed = override.key_or_group, command_line(override.input_line)
            field = field_at(config_class, key)
            if field is None or "section" not in field.metadata or not self.is_group(key):
                continue
            rule = f"must be one of {', '.join(self.loader.get_group_options(key))}"
            if override.is_delete():
                violations.append(Violation(key, ABSENT, rule, typed, self.usual_choice(key), action="deleted"))
            else:
                several = Typed(",".join(map(str, override.value())))  # type: ignore[arg-type]  # a list
                rule = f"{rule}; a sweep tries several"
                violations.append(Violation(key, f"[{several}]", rule, typed, {key: several}, multirun=True))
        return violations

    def usual_choices(self) -> dict[str, str | None]:
        """Group → option, as the defaults list has it; nothing where it cannot be read."""
        if self._usual is None:
            try:
                self._usual = self.defaults(self.repository(), [], prepend_hydra=True).overrides.known_choices
            except Exception:
                self._usual = {}
        return self._usual

    def usual_choice(self, group: str) -> dict[str, object]:
        """A remedy that chooses what the defaults list does, if it chooses any."""
        choice = self.usual_choices().get(group)
        return {group: choice} if choice else {}

    def _split(self, overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override] | None]:
        """Group choices, and value overrides if all of them are plain ones; None where Hydra must decide."""
        choices, values = [], []
        for text in overrides:
            override = parse(text)
            key, value = override.key_or_group, override.value()
            if override.is_sweep_override() or override.is_hydra_override() or override.package is not None:
                return (), None
            if self.is_group(key) and not isinstance(value, dict):
                choices.append(text)
            elif override.type is OverrideType.CHANGE and (value is None or isinstance(value, (int, float, str))):
                values.append(override)
            else:
                return (), None
        return tuple(choices), values

    def _base(self, choices: tuple[str, ...]) -> _Base | None:
        if choices not in self._bases:
            self._bases[choices] = self._compose_base(choices)
            if len(self._bases) > _BASES_KEPT:
                self._bases.popitem(last=False)
        self._bases.move_to_end(choices)
        base = self._bases[choices]
        return None if base.unstable else base

    def _compose_base(self, choices: tuple[str, ...]) -> _Base:
        try:
            repository = self.repository()
            defaults = self.defaults(repository, [parse(text) for text in choices], prepend_hydra=False)
            config = self.merge(defaults.defaults, repository)
        except Exception:  # the choice touches Hydra's own groups, or it is wrong: Hydra composes it, or says so
            config = self.full(choices)
            with open_dict(config):
                del config["hydra"]
        return _Base.of(config)

    def _refresh(self) -> None:
        """Forget what was composed when a YAML file or the environment changed."""
        if self.frozen and self._stamp is not None:
            return
        if not self.folders:
            self.folders = self._source_folders()
        stamp = tuple(yaml_files(self.folders)), hash(frozenset(os.environ.items()))
        if stamp != self._stamp:
            if self._stamp is not None:
                self.folders = self._source_folders()  # the primary config may name other folders now
            self._bases.clear()
            self._suspicious = self._usual = None
            self._stamp = stamp

    def _source_folders(self) -> tuple[str, ...]:
        return tuple(source.path for source in self.repository().get_sources() if source.scheme() == "file")


@dataclass(frozen=True)
class _Base:
    """A composed choice of options, to apply plain values to and take them back from."""

    config: DictConfig
    raw: dict[str, Any]
    unstable: bool

    @classmethod
    def of(cls, config: DictConfig) -> _Base:
        raw: Any = OmegaConf.to_container(config, resolve=False)
        return cls(config, raw, bool(_UNSTABLE.search(repr(raw))))

    @contextmanager
    def overridden(self, values: list[Override]) -> Iterator[DictConfig | None]:
        """The config with ``values`` applied, or None where one of them is not a plain change of a plain value."""
        undo: list[tuple[str, Any]] = []
        try:
            yield self.config if self._apply(values, undo) else None
        finally:
            for key, value in reversed(undo):
                OmegaConf.update(self.config, key, value)

    def _apply(self, values: list[Override], undo: list[tuple[str, Any]]) -> bool:
        for override in values:
            key, value = override.key_or_group, override.value()
            before = _lookup(self.raw, key)
            if isinstance(before, (dict, list)) or (isinstance(value, str) and _UNSTABLE.search(value)):
                return False
            try:
                undo.append((key, before))
                OmegaConf.update(self.config, key, value)
            except Exception:  # Hydra will say what is wrong with it
                undo.pop()
                return False
        return True


def _lookup(raw: dict[str, Any], key: str) -> Any:
    """The raw value under a dotted key; a dict where there is none, which is no plain value either."""
    value: Any = raw
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return {}
        value = value[part]
    return value


def yaml_files(folders: Iterable[str]) -> Iterator[tuple[str, int, int]]:
    """``(path, modification time, size)`` of every YAML file below ``folders``."""
    for each in folders:
        for folder, _, names in os.walk(each):
            for name in sorted(names):
                if name.endswith(".yaml"):
                    path = os.path.join(folder, name)
                    status = os.stat(path)
                    yield path, status.st_mtime_ns, status.st_size
