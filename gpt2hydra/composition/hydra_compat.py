"""Every private name of Hydra and OmegaConf that this package uses, and what differs between Hydra 1.3 and 1.4.

No other module has such a name, as ``tests/test_house.py`` checks. Here each has a line: what it does, since
which version it is there, and what public name would replace it ('public: none' where there is none). Hydra
is called here, never patched; another version of it is made to fit in this module alone.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import importlib.resources
import os
import pickle
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, ValuesView
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple, TypeAlias

import hydra.utils
from hydra import version
from hydra._internal import defaults_list as hydra_defaults_list
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository, IConfigRepository
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.defaults_list import DefaultsList as DefaultsList
from hydra._internal.utils import (
    create_config_search_path,
    detect_calling_file_or_module_from_task_function,
    detect_task_name,
    get_args_parser,
    run_and_report,
)
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigNode, ConfigStore
from hydra.core.default_element import ResultDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.config_source import ConfigLoadError
from omegaconf import DictConfig, Node, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from gpt2hydra.utils.formatting import reason_of
from gpt2hydra.utils.yaml_nodes import check_yaml

Repository: TypeAlias = IConfigRepository

HYDRA = tuple(int(part) for part in hydra.__version__.split(".")[:2])
"""``(1, 3)`` or ``(1, 4)``: the Hydra that runs."""

VERSION_BASE = "1.3"
"""Hydra's behaviour that this package is written for. Hydra 1.4 has no other, and calls the name deprecated."""

SETS_THROUGH_REFERENCES = HYDRA >= (1, 4)
"""Whether, with ``copied: ${opt}``, ``copied.lr=1`` sets ``opt.lr``: since OmegaConf 2.4. Before, it made a section
of its own of ``copied``.
"""


MODE_BEFORE_COMPOSING = HYDRA >= (1, 4)
"""Whether ``hydra.mode`` must be known before anything is composed, from the command line or the primary config: since
Hydra 1.4, which refuses another one that comes of composing. Before, any file could ask for a sweep.
"""


# ------------------------------------------------------------------------------------ names that Hydra 1.4 has changed


def set_version_base() -> None:
    """``hydra.version.setbase``, 1.2 to 1.3. Public: ``version_base=`` of ``hydra.main``, for whole programs alone."""
    if HYDRA < (1, 4):
        version.setbase(VERSION_BASE)


def register_resolver(name: str, function: Callable[..., Any]) -> None:
    """In place of what has this name. Public: ``register_new_resolver`` to OmegaConf 2.3, ``register_resolver`` from 2.4."""
    register: Any = OmegaConf.register_new_resolver if HYDRA < (1, 4) else OmegaConf.register_resolver
    register(name, function, replace=True)


def store_config(name: str, node: Any, group: str | None = None) -> None:
    """``ConfigStore.store``, in place of what has this name. Public; 1.4 warns unless it is asked for."""
    replace: dict[str, Any] = {"replace": True} if HYDRA >= (1, 4) else {}
    ConfigStore.instance().store(name=name, node=node, group=group, provider="gpt2hydra", **replace)


# ---------------------------------------------------------------------------------------- composing, step by step


def search_path_of(folder: str) -> ConfigSearchPath:
    """All that Hydra searches for an application with this folder: its own, the plugins', the schemas'.

    ``create_config_search_path``, since 0.11. Public: ``initialize_config_dir``, which changes the process's
    Hydra.
    """
    return create_config_search_path(folder)


def search_path_from(sources: Iterable[tuple[str, str]]) -> ConfigSearchPath:
    """A search path of ``(provider, path)``. ``ConfigSearchPathImpl``, since 1.0. Public: none."""
    search_path = ConfigSearchPathImpl()
    for provider, path in sources:
        search_path.append(provider, path)
    return search_path


def _with_names(function: FunctionType, names: dict[str, Any]) -> Any:
    """A copy of a function that finds these names in its module."""
    return FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)


def _faster_defaults_list() -> Callable[..., DefaultsList]:
    """Hydra 1.3's functions once more, which make a config of all choices only where an entry refers to one (``${model}``).

    Hydra 1.3 makes it for each entry, in most of the time that a list takes; 1.4 does as this does.
    """
    choices_of = hydra_defaults_list._create_interpolation_map

    def choices_if_needed(overrides: Any, entries: Sequence[Any], self_added: bool) -> DictConfig | None:
        refers = any(each.is_interpolation() for each in entries)
        return choices_of(overrides, [*entries], self_added) if refers else None

    names = dict(vars(hydra_defaults_list))
    for name, each in vars(hydra_defaults_list).items():
        if isinstance(each, FunctionType) and each.__module__ == hydra_defaults_list.__name__:
            names[name] = _with_names(each, names)
    names["_create_interpolation_map"] = choices_if_needed
    create: Callable[..., DefaultsList] = names["create_defaults_list"]
    return create


_CREATE_DEFAULTS_LIST = _faster_defaults_list() if HYDRA < (1, 4) else hydra_defaults_list.create_defaults_list


class _Origin(NamedTuple):
    """What Hydra takes for ``model/large``: a YAML file, or what Python has stored."""

    place: str | int
    """The file, or ``id(node)``."""
    changed: tuple[int, int] = (0, 0)
    """When the file was changed, and its bytes."""
    node: ConfigNode | None = None
    """Kept, so that no other object gets its id."""

    @property
    def key(self) -> tuple[Any, ...]:
        """The same for what is the same."""
        return self.place, self.changed


def _origin(repository: Repository, config_path: str, file: str | None) -> _Origin | None:
    """None where it may be another each time: of a plugin, or of a file that Hydra matches with a schema of its name."""
    stored: Any = ConfigStore.instance().repo
    for part in f"{config_path.removesuffix('.yaml')}.yaml".split("/"):
        stored = stored.get(part) if isinstance(stored, dict) else None
    if file is None:
        return _Origin(id(stored), node=stored) if isinstance(stored, ConfigNode) else None
    status = os.stat(file)
    return _Origin(file, (status.st_mtime_ns, status.st_size)) if stored is None else None


_LOADED: dict[tuple[str, str | int], tuple[_Origin, bytes]] = {}
"""``(option, its file or id)`` → what Hydra made of it when it was last changed. A pickle: each composition gets a copy."""

_MERGED: dict[tuple[Any, ...], tuple[list[_Origin], bytes]] = {}
"""Defaults list → what it was made of, and a pickle of what Hydra merged."""

_KEPT = 64
"""Defaults lists of which the result is kept."""


class _CheckedFiles(ConfigRepository):
    """Looks at the nodes of a file before Hydra makes values of them, and has Hydra read it again only after a change.

    ``ConfigRepository``, since 1.1. Public: none.
    """

    def __deepcopy__(self, memo: Any) -> _CheckedFiles:
        """Hydra copies it for every composition, to change the list of sources: these themselves do not change."""
        return copy.copy(self)

    def load_config(self, config_path: str) -> Any:
        file, of_user = _yaml_file(self, config_path)
        if file is not None and of_user:
            check_yaml(file)
        origin = _origin(self, config_path, file)
        if origin is None:
            return super().load_config(config_path)
        known = _LOADED.get((config_path, origin.place))
        if known is None or known[0].key != origin.key:
            loaded = super().load_config(config_path)
            try:
                known = _LOADED[config_path, origin.place] = origin, pickle.dumps(loaded)
            except Exception:  # a class that cannot be found by its name
                return loaded
        return pickle.loads(known[1])  # noqa: S301  # made here


class ConfigLoader(ConfigLoaderImpl):
    """What composes. It merges the configs of a defaults list again only after a change. ``ConfigLoaderImpl``, since 1.0.

    Public: ``GlobalHydra.instance().config_loader()`` after ``initialize_config_dir``, which changes the
    process's Hydra.
    """

    def __init__(self, search_path: ConfigSearchPath) -> None:
        super().__init__(search_path)
        self.repository = _CheckedFiles(search_path)

    if HYDRA < (1, 4):
        _impl: Any = ConfigLoaderImpl._load_configuration_impl
        _load_configuration_impl = _with_names(_impl, {**_impl.__globals__, "create_defaults_list": _CREATE_DEFAULTS_LIST})

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        paths = [str(each.config_path) for each in defaults]
        origins = [origin for path in paths if (origin := _origin(repo, path, _yaml_file(repo, path)[0])) is not None]
        if len(origins) < len(defaults):
            return super()._compose_config_from_defaults_list(defaults, repo)
        pairs = zip(defaults, origins, strict=True)
        key = tuple((each.config_path, each.package, each.primary, origin.key) for each, origin in pairs)
        if key not in _MERGED:
            merged = super()._compose_config_from_defaults_list(defaults, repo)
            try:
                _MERGED[key] = origins, pickle.dumps(merged)
            except Exception:  # a class that cannot be found by its name
                return merged
            if len(_MERGED) > _KEPT:
                del _MERGED[next(iter(_MERGED))]
        composed: DictConfig = pickle.loads(_MERGED[key][1])  # noqa: S301  # made here
        return composed


def file_of(repository: Repository, config_path: str) -> str | None:
    """The user's YAML file that Hydra takes for ``model/large``; None for what is not in a folder, or is Hydra's own."""
    file, of_user = _yaml_file(repository, config_path)
    return file if of_user else None


def _yaml_file(repository: Repository, config_path: str) -> tuple[str | None, bool]:
    """The YAML file that Hydra takes for ``model/large``, if it takes one, and whether it is not one of Hydra's own."""
    source = next((each for each in repository.get_sources() if each.is_config(config_path)), None)
    if source is None or source.scheme() not in ("file", "pkg"):
        return None, False
    of_user = source.path != "hydra.conf"
    name = config_path if config_path.endswith(".yaml") else f"{config_path}.yaml"
    if source.scheme() == "file":
        return os.path.join(source.path, name), of_user
    path = str(importlib.resources.files(source.path).joinpath(name))
    return path if os.path.isfile(path) else None, of_user  # None: of a package in a zip file


def open_repository(loader: ConfigLoader, config_name: str | None, overrides: Sequence[Override] = ()) -> Repository:
    """The YAML files and schemas to compose from, each read once; ``hydra.searchpath`` counts.

    ``CachingConfigRepository`` and ``ConfigLoaderImpl._process_config_searchpath``, since 1.1. Public: none.
    A folder that is not there is warned of when Hydra composes, and not once more here.
    """
    repository = CachingConfigRepository(loader.repository)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        loader._process_config_searchpath(config_name, list(overrides), repository)
    return repository


def options_of(repository: Repository, group: str) -> list[str]:
    """The options of a group, in whatever folder they are. ``IConfigRepository.get_group_options``, since 1.0.

    Public: ``ConfigLoader.get_group_options``. Hydra 1.4 refuses to list a folder that also holds a ``.yml``,
    which it never takes; so that such a file can be reported, the others are listed here then.
    """
    with contextlib.suppress(ConfigLoadError), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a .yml, which composing warns of
        return repository.get_group_options(group, ObjectType.CONFIG)
    found: set[str] = set()
    for source in repository.get_sources():
        if source.scheme() == "file":
            found |= {file.stem for file in Path(source.path, group).glob("*.yaml")}
        elif source.is_group(group):
            found |= set(source.list(group, ObjectType.CONFIG))
    return sorted(found)


def defaults_list(
    repository: Repository, config_name: str | None, choices: list[Override], *, prepend_hydra: bool, skip_missing: bool = False
) -> DefaultsList:
    """The configs that make up the result, in order. ``create_defaults_list``, since 1.1.

    Public: ``ConfigLoader.compute_defaults_list``, which reads every file anew and always takes Hydra's own
    in: slower.
    """
    return _CREATE_DEFAULTS_LIST(repository, config_name, choices, prepend_hydra=prepend_hydra, skip_missing=skip_missing)


# ------------------------------------------------------------------------------------------------------ a program


def arguments_parser() -> argparse.ArgumentParser:
    """Hydra's command line, but that ``--experiment`` is not short for ``--experimental-rerun``.

    ``get_args_parser``, since 1.0. Public: none.
    """
    parser = get_args_parser()
    parser.allow_abbrev = False
    return parser


def hydra_of(function: Callable[..., Any], loader: ConfigLoader) -> Any:
    """The Hydra of a program, for ``GlobalHydra``, which launchers and callbacks ask.

    ``Hydra``, ``detect_task_name`` and the other detective, since 1.0. Public: none.
    """
    from hydra._internal.hydra import Hydra  # not needed where Python composes

    return Hydra(detect_task_name(*detect_calling_file_or_module_from_task_function(function)), loader)


def make_callbacks(composed: DictConfig) -> Callbacks:
    """The callbacks that ``hydra.callbacks`` names. ``Callbacks``, since 1.1. Public: none.

    Hydra 1.4 asks which classes a config may name: those that it names there, for a user's own config is
    trusted as code is.
    """
    with contextlib.ExitStack() as stack:
        if HYDRA >= (1, 4):
            named = OmegaConf.to_container(composed.hydra.callbacks, resolve=True)
            utils: Any = hydra.utils
            stack.enter_context(utils.execution_whitelist([*_targets(named)]))
        return Callbacks(composed)


def _targets(values: Any) -> Iterator[str]:
    if isinstance(values, Mapping):
        if isinstance(values.get("_target_"), str):
            yield values["_target_"]
        values = values.values()
    if isinstance(values, (list, ValuesView)):
        for value in values:
            yield from _targets(value)


def print_information(hydra: Any, options: argparse.Namespace, parser: argparse.ArgumentParser, config_name: str) -> None:
    """Print what ``--hydra-help``, ``--cfg``, ``--info`` or ``--shell-completion`` ask of a program.

    Methods of ``Hydra``, since 1.0; errors are raised. Public: ``hydra.main``, which reads the arguments
    itself.
    """
    if options.hydra_help:
        hydra.hydra_help(config_name=config_name, args_parser=parser, args=options)
    elif options.cfg:
        overrides, package, resolve = options.overrides, options.package, options.resolve
        hydra.show_cfg(config_name, overrides, cfg_type=options.cfg, package=package, resolve=resolve)
    elif options.info:
        hydra.show_info(options.info, config_name=config_name, overrides=options.overrides)
    else:
        hydra.shell_completion(config_name=config_name, overrides=options.overrides)


def help_text(hydra: Any, config: DictConfig, parser: argparse.ArgumentParser, resolve: bool) -> str:
    """What ``--help`` prints of a composed config, by its ``hydra.help``. ``Hydra.get_help``, since 1.0. Public: none."""
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    return str(hydra.get_help(config.hydra.help, own, parser, resolve=resolve))


def report_as_hydra(function: Callable[[], Any]) -> Any:
    """Call; an error of the user's own function is printed as Hydra prints it. ``run_and_report``, since 1.0. Public: none."""
    return run_and_report(function)


def failure_of(result: JobReturn) -> object:
    """What a job raised, or None. ``JobReturn._return_value``, since 1.0. Public: ``return_value``, which prints before it
    raises.
    """
    return result._return_value if result.status is JobStatus.FAILED else None


def with_value(override: Override, value: int, text: str) -> Override:
    """The override with another value, as it was typed. ``Override._value``, since 1.0. Public: none."""
    return dataclasses.replace(override, _value=value, input_line=text)


# ------------------------------------------------------------------------------- what errors say in words alone


def grammar_reason(error: Exception) -> str:
    """What Hydra's parser could not read, without the list of what it expected."""
    return reason_of(error).partition(" expecting ")[0]


def has_too_many_digits(error: Exception) -> bool:
    """Whether a number is longer than Python reads."""
    return isinstance(error, ValueError) and "digits" in str(error)


def unquoted_sign(error: Exception) -> str:
    """The sign that Hydra's grammar has no use for outside quotes; empty where that is not it."""
    sign = re.match(r"token recognition error at: '(.)", reason_of(error))
    return sign[1] if sign else ""


def wrong_header(error: Exception) -> str:
    """The ``# @package`` line that Hydra cannot read; empty where that is not it."""
    found = re.match(r"(?:Expected header format: KEY VALUE, got|Too many components in) '(.*)'$", str(error))
    return found[1] if found else ""


def chosen_twice(error: Exception) -> str:
    """The group that a defaults list has twice; empty where that is not it."""
    found = re.match(r"(\S+) appears more than once in the final defaults list", str(error))
    return found[1] if found else ""


def refers_to_itself(error: Exception) -> bool:
    """Whether a reference leads back to itself."""
    return isinstance(error, RecursionError) or "Recursive interpolation" in str(error)


def names_no_variable(error: Exception) -> bool:
    """Whether ``${oc.env:NAME}`` names no variable of the environment."""
    return isinstance(error, InterpolationResolutionError) and "Environment variable" in str(error)


# -------------------------------------------------------------------------------------------------- nodes and YAML


def raw_value(node: Node) -> Any:
    """What a node holds: a dict, a list, a value, ``${...}`` unresolved, ``???``. ``Node._value``, since 2.1.

    Public: ``OmegaConf.to_container(resolve=False)`` of its parent, which copies all of that.
    """
    return node._value()


def is_mapping(node: Node | None) -> bool:
    """Whether it has keys: no value, and neither ``???``, null nor an interpolation."""
    return isinstance(node, DictConfig) and isinstance(node._value(), dict)


def node_at(parent: Any, key: Any) -> Node:
    """The node, not its value. ``_get_node``, since 2.0. Public: none."""
    node: Node = parent._get_node(key)
    return node


def full_key(config: DictConfig) -> str:
    """Where a config stands in a larger one. ``Node._get_full_key``, since 2.0. Public: none."""
    return config._get_full_key(None)


def root_of(config: DictConfig) -> DictConfig:
    """The config that one is a part of. ``Node._get_root``, since 2.0. Public: none."""
    root: DictConfig = config._get_root()  # type: ignore[assignment]
    return root


def declared_types(config: DictConfig) -> tuple[Any, Any]:
    """The class that a mapping is declared to be, and the class of its values. ``Node._metadata``, since 2.1. Public: none."""
    return config._metadata.ref_type, config._metadata.element_type
