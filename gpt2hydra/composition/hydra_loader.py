"""Find, load and merge configs by Hydra's own classes, which read a file again only after a change.

Only this module and :mod:`.hydra_compat` use private names of Hydra.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.resources
import os
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple, TypeAlias

from hydra._internal import defaults_list as hydra_defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository, IConfigRepository
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.defaults_list import DefaultsList as DefaultsList
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigNode, ConfigStore
from hydra.core.default_element import ResultDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigLoadError
from omegaconf import DictConfig

from gpt2hydra.composition.hydra_compat import HYDRA
from gpt2hydra.utils.yaml_nodes import check_yaml

Repository: TypeAlias = IConfigRepository


def make_search_path(folder: str) -> ConfigSearchPath:
    """Return an application's search path: this folder, Hydra's own, those of plugins and schemas.

    ``create_config_search_path``, since 0.11. Public: ``initialize_config_dir``, which changes global state.
    """
    return create_config_search_path(folder)


def join_search_path(sources: Iterable[tuple[str, str]]) -> ConfigSearchPath:
    """Return the search path of ``(provider, path)`` pairs.

    ``ConfigSearchPathImpl``, since 1.0. Public: none.
    """
    search_path = ConfigSearchPathImpl()
    for provider, path in sources:
        search_path.append(provider, path)
    return search_path


def _with_names(function: FunctionType, names: dict[str, Any]) -> Any:
    """Return a copy of a function with ``names`` as the globals of its module."""
    return FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)


def _faster_defaults_list() -> Callable[..., DefaultsList]:
    """Return a copy of Hydra 1.3's function that lists all choices only if an entry refers to one.

    Hydra 1.3 does so for each entry, which takes most of the time of a list; 1.4 does the same as this copy.
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


class _Stamp(NamedTuple):
    """The file or ConfigStore node that Hydra uses for ``model/large``. It differs if the config changed."""

    place: str | int
    """The file, or ``id(node)``."""
    changed: tuple[int, int] = (0, 0)
    """Modification time in ns and size of the file."""
    node: ConfigNode | None = None
    """Kept alive, so that no other object gets its id."""


def _stamp(repository: Repository, config_path: str, file: str | None) -> _Stamp | None:
    """Return the stamp of a config; None (not cached) if a plugin or both a file and the store have it."""
    stored: Any = ConfigStore.instance().repo
    for part in f"{config_path.removesuffix('.yaml')}.yaml".split("/"):
        stored = stored.get(part) if isinstance(stored, dict) else None
    if file is None:
        return _Stamp(id(stored), node=stored) if isinstance(stored, ConfigNode) else None
    status = os.stat(file)
    return _Stamp(file, (status.st_mtime_ns, status.st_size)) if stored is None else None


class _ResultCache:
    """Cache of the results of Hydra for unchanged configs.

    They are pickles, so each composition gets a copy.
    """

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._cache: OrderedDict[tuple[Any, ...], tuple[Sequence[_Stamp], bytes]] = OrderedDict()

    def get(self, name: Any, stamps: Sequence[_Stamp], make: Callable[[], Any]) -> Any:
        """Return the cached result for ``name`` and these stamps, or call ``make`` and cache its result."""
        key = (name, *((each.place, each.changed) for each in stamps))
        if key in self._cache:
            return pickle.loads(self._cache[key][1])  # noqa: S301  # made here
        made = make()
        with contextlib.suppress(Exception):  # a class that cannot be found by its name
            self._cache[key] = stamps, pickle.dumps(made)
            if len(self._cache) > self._max_size:
                self._cache.popitem(last=False)
        return made


_LOADED, _MERGED = _ResultCache(1024), _ResultCache(64)
"""Caches of loaded configs, and of merged defaults lists."""


class _CheckedFiles(ConfigRepository):
    """Checks the YAML nodes of a file before Hydra loads it, and loads it again only after a change.

    ``ConfigRepository``, since 1.1. Public: none.
    """

    def __deepcopy__(self, memo: Any) -> _CheckedFiles:
        """Return a shallow copy: for each composition, Hydra changes the list of sources, not the sources."""
        return copy.copy(self)

    def load_config(self, config_path: str) -> Any:
        file, of_user = _yaml_file(self, config_path)
        if file is not None and of_user:
            check_yaml(file)
        stamp, load = _stamp(self, config_path, file), partial(super().load_config, config_path)
        return load() if stamp is None else _LOADED.get(config_path, [stamp], load)


class ConfigLoader(ConfigLoaderImpl):
    """Composes configs; merges a defaults list again only after a change.

    ``ConfigLoaderImpl``, since 1.0. Public: ``GlobalHydra.instance().config_loader()`` after
    ``initialize_config_dir``, which changes the process-wide Hydra.
    """

    def __init__(self, search_path: ConfigSearchPath) -> None:
        super().__init__(search_path)
        self.repository = _CheckedFiles(search_path)

    if HYDRA < (1, 4):
        _impl: Any = ConfigLoaderImpl._load_configuration_impl
        _load_configuration_impl = _with_names(_impl, {**_impl.__globals__, "create_defaults_list": _CREATE_DEFAULTS_LIST})

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        paths = [str(each.config_path) for each in defaults]
        stamps = [stamp for path in paths if (stamp := _stamp(repo, path, _yaml_file(repo, path)[0])) is not None]
        merge = partial(super()._compose_config_from_defaults_list, defaults, repo)
        if len(stamps) < len(defaults):
            return merge()
        name = tuple((each.config_path, each.package, each.primary) for each in defaults)
        merged: DictConfig = _MERGED.get(name, stamps, merge)
        return merged


def user_file(repository: Repository, config_path: str) -> str | None:
    """Return the user's YAML file that Hydra uses for ``model/large``; None if there is none."""
    file, of_user = _yaml_file(repository, config_path)
    return file if of_user else None


def _yaml_file(repository: Repository, config_path: str) -> tuple[str | None, bool]:
    """Return the YAML file that Hydra uses for ``model/large``, or None; and whether it is a user's."""
    source = next((each for each in repository.get_sources() if each.is_config(config_path)), None)
    if source is None or source.scheme() not in ("file", "pkg"):
        return None, False
    of_user = source.path != "hydra.conf"
    name = config_path if config_path.endswith(".yaml") else f"{config_path}.yaml"
    if source.scheme() == "file":
        return os.path.join(source.path, name), of_user
    path = str(importlib.resources.files(source.path).joinpath(name))
    return path if os.path.isfile(path) else None, of_user  # None: in a package in a zip file


def open_repository(loader: ConfigLoader, config_name: str | None, overrides: Sequence[Override] = ()) -> Repository:
    """Return the YAML files and schemas to compose, each read once, also those of ``hydra.searchpath``.

    ``CachingConfigRepository`` and ``ConfigLoaderImpl._process_config_searchpath``, since 1.1. Public: none.
    The warning about a missing folder is suppressed here, because Hydra repeats it when it composes.
    """
    repository = CachingConfigRepository(loader.repository)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        loader._process_config_searchpath(config_name, list(overrides), repository)
    return repository


def group_options(repository: Repository, group: str) -> list[str]:
    """Return the options of a group in all folders. ``IConfigRepository.get_group_options``, since 1.0.

    Public: ``ConfigLoader.get_group_options``. Hydra 1.4 raises an error for a folder that has a ``.yml``,
    which it never reads. Then the other files are listed here, so that the ``.yml`` can be reported.
    """
    with contextlib.suppress(ConfigLoadError), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about a .yml: composing repeats it
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
    """Return the configs to merge, in order. ``create_defaults_list``, since 1.1.

    Public: ``ConfigLoader.compute_defaults_list``, which is slower: it reads every file again and always
    includes Hydra's own.
    """
    return _CREATE_DEFAULTS_LIST(repository, config_name, choices, prepend_hydra=prepend_hydra, skip_missing=skip_missing)
