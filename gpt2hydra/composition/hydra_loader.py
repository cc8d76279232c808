"""How Hydra finds, loads and merges configs, by its own classes, which read a file again only after a change.

With :mod:`.hydra_compat`, the only module that uses private names of Hydra's.
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
    """Hydra 1.3's functions, which make a config of all choices only where an entry refers to one.

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


def _origin(repository: Repository, config_path: str, file: str | None) -> _Origin | None:
    """None where it may change unseen: of a plugin, or a file with a schema of the same name."""
    stored: Any = ConfigStore.instance().repo
    for part in f"{config_path.removesuffix('.yaml')}.yaml".split("/"):
        stored = stored.get(part) if isinstance(stored, dict) else None
    if file is None:
        return _Origin(id(stored), node=stored) if isinstance(stored, ConfigNode) else None
    status = os.stat(file)
    return _Origin(file, (status.st_mtime_ns, status.st_size)) if stored is None else None


class _Copies:
    """What Hydra made of configs that have not changed since, as pickles: each composition gets a copy."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[Any, ...], tuple[Sequence[_Origin], bytes]] = OrderedDict()

    def get(self, name: Any, origins: Sequence[_Origin], make: Callable[[], Any]) -> Any:
        """What ``make`` returns, called only where there is none of these origins yet."""
        key = (name, *((each.place, each.changed) for each in origins))
        if key in self._kept:
            return pickle.loads(self._kept[key][1])  # noqa: S301  # made here
        made = make()
        with contextlib.suppress(Exception):  # a class that cannot be found by its name
            self._kept[key] = origins, pickle.dumps(made)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return made


_LOADED, _MERGED = _Copies(1024), _Copies(64)
"""Of configs that were loaded, and of defaults lists that were merged."""


class _CheckedFiles(ConfigRepository):
    """Checks the nodes of a file before Hydra reads it, and has it read again only after a change.

    ``ConfigRepository``, since 1.1. Public: none.
    """

    def __deepcopy__(self, memo: Any) -> _CheckedFiles:
        """Hydra copies it for every composition, to change the list of sources, which do not change."""
        return copy.copy(self)

    def load_config(self, config_path: str) -> Any:
        file, of_user = _yaml_file(self, config_path)
        if file is not None and of_user:
            check_yaml(file)
        origin, load = _origin(self, config_path, file), partial(super().load_config, config_path)
        return load() if origin is None else _LOADED.get(config_path, [origin], load)


class ConfigLoader(ConfigLoaderImpl):
    """Composes, and merges a defaults list again only after a change.

    ``ConfigLoaderImpl``, since 1.0. Public: ``GlobalHydra.instance().config_loader()`` after
    ``initialize_config_dir``, which changes the process's Hydra.
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
        merge = partial(super()._compose_config_from_defaults_list, defaults, repo)
        if len(origins) < len(defaults):
            return merge()
        name = tuple((each.config_path, each.package, each.primary) for each in defaults)
        merged: DictConfig = _MERGED.get(name, origins, merge)
        return merged


def file_of(repository: Repository, config_path: str) -> str | None:
    """The YAML file that Hydra takes for ``model/large``; None of what is in no folder, or Hydra's own."""
    file, of_user = _yaml_file(repository, config_path)
    return file if of_user else None


def _yaml_file(repository: Repository, config_path: str) -> tuple[str | None, bool]:
    """The YAML file that Hydra takes for ``model/large``, if there is one, and whether it is a user's."""
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
    """The options of a group in all folders. ``IConfigRepository.get_group_options``, since 1.0.

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
