"""Layers: the raw values of one source (YAML file, structured config, override) with file and line.

Values are neither converted nor resolved here; :func:`holds_value` says whether OmegaConf converts a raw
value to that of a composed config.
"""

from __future__ import annotations

import functools
import importlib.resources
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, is_dataclass, replace
from enum import Enum
from typing import Any

from hydra.plugins.config_source import ConfigSource
from omegaconf import DictConfig, ListConfig, Node, OmegaConf, UnionNode, ValueNode

from gpt2hydra.composition.hydra_compat import declared_types, is_mapping, node_at, raw_value
from gpt2hydra.composition.hydra_loader import Repository
from gpt2hydra.composition.hydra_state import start_folder
from gpt2hydra.composition.schema import class_of_schema, file_of_option
from gpt2hydra.config.errors import DEFAULT, Source
from gpt2hydra.utils.yaml_nodes import YamlValue, read_yaml

KeyPath = tuple[Any, ...]
"""Keys from the root of a config to a node."""


@dataclass(frozen=True, eq=False)
class Layer:
    """The value of one source for one key: a leaf, or layers by key. Compared by identity, so hashable."""

    value: Any
    source: Source
    written: Any = None  # as :attr:`Setting.written`
    kind: Any = None  # the dataclass of this mapping, in a structured config
    each: Any = None  # the dataclass of every value of this mapping
    schema: Any = None  # the configuration class of which this is the schema

    def below(self, package: Sequence[Any]) -> Layer:
        """Return this layer nested at ``package``."""
        return functools.reduce(lambda inner, key: Layer({key: inner}, inner.source), reversed(package), self)

    @property
    def plain(self) -> Any:
        """The nested values, without sources."""
        return {key: each.plain for key, each in self.value.items()} if isinstance(self.value, dict) else self.value

    def leaves(self, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Layer]]:
        """Yield ``(path, layer)`` of each leaf; an empty mapping is a leaf."""
        if isinstance(self.value, dict) and self.value:
            for key, each in self.value.items():
                yield from each.leaves((*path, key))
        else:
            yield path, self


def layers_of(repo: Repository, config_path: str) -> Iterator[Layer]:
    """Yield the layers (usually one) that Hydra loads for ``config_path``."""
    schema = repo.get_schema_source()
    source = next(each for each in repo.get_sources() if each.is_config(config_path))
    if source is not schema and schema.is_config(config_path):  # Hydra still merges a schema of the same name
        yield _read(schema, config_path)
    file = file_of_option(config_path) if source is schema else None
    yield _read_yaml(file) if file is not None else _read(source, config_path)


def _read(source: ConfigSource, config_path: str) -> Layer:
    name = config_path if config_path.endswith(".yaml") else f"{config_path}.yaml"
    if source.scheme() == "file":
        layer = _read_yaml(os.path.join(source.path, name))
    elif source.scheme() == "pkg":
        with importlib.resources.as_file(importlib.resources.files(source.path).joinpath(name)) as file:
            layer = _read_yaml(str(file))
    else:
        config = source.load_config(config_path).config
        is_schema = "/" not in config_path and is_dataclass(OmegaConf.get_type(config))
        layer = layer_of_node(config, DEFAULT if is_schema else Source("ConfigStore", config_path))
        layer = replace(layer, schema=class_of_schema(config) if isinstance(config, DictConfig) and is_schema else None)
    if isinstance(layer.value, dict):
        layer.value.pop("defaults", None)
        return layer
    return Layer({}, layer.source)


def _read_yaml(path: str) -> Layer:
    return layer_of_yaml(read_yaml(path), display_path(path))


def display_path(path: str) -> str:
    """Return a path for messages: relative if it is below the folder in which the program was started."""
    path, here = os.path.abspath(path), os.path.join(start_folder(), "")
    return path[len(here) :] if path.startswith(here) else path


def layer_of_yaml(written: YamlValue, file: str) -> Layer:
    """Return the layer of a YAML file, or of a part of one."""
    source = Source("file", file, written.line, items=tuple(each.line for each in written.items))
    if isinstance(written.value, dict) and all(isinstance(each, YamlValue) for each in written.value.values()):
        return Layer({key: layer_of_yaml(each, file) for key, each in written.value.items()}, source)
    return Layer({} if written.value is None and written.text is None else written.value, source, written.texts)


def layer_of_node(node: Node | None, source: Source) -> Layer:
    """Return the layer of a structured config, or of a part of one."""
    declared = declared_types(node) if isinstance(node, DictConfig) else (None, None)
    kind, each = (kind if is_dataclass(kind) else None for kind in declared)
    if is_mapping(node):
        return Layer({key: layer_of_node(node_at(node, key), source) for key in node}, source, None, kind, each)
    return Layer(raw(node), source, kind=kind)


def layer_of(value: object, source: Source) -> Layer:
    """Return the layer of an override's value."""
    return Layer({key: layer_of(each, source) for key, each in value.items()} if isinstance(value, dict) else value, source)


def raw(node: Any) -> Any:
    """Return the content of a node as it would be in a file: interpolations as written, enums by name."""
    value = raw_value(node)
    if isinstance(value, (dict, list)):
        return OmegaConf.to_container(node, resolve=False, enum_to_str=True)
    if isinstance(value, Node):  # a union contains one
        return raw(value)
    return value.name if isinstance(value, Enum) else value


def leaf_nodes(config: DictConfig, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Node]]:
    """Yield ``(path, node)`` of each leaf of a composed config, also lists, empty and interpolated mappings."""
    for key in config:
        node = node_at(config, key)
        if is_mapping(node) and len(node):
            yield from leaf_nodes(node, (*path, key))
        elif isinstance(node, Node):
            yield (*path, key), node


def holds_value(node: Any, raw: Any) -> bool:
    """Return whether the node's own conversion of ``raw`` gives the content of the composed ``node``."""
    if isinstance(node, ListConfig) and isinstance(raw_value(node), list) and isinstance(raw, list):
        return len(node) == len(raw) and all(holds_value(node_at(node, index), each) for index, each in enumerate(raw))
    if is_mapping(node) and isinstance(raw, dict):
        complete = node.keys() == raw.keys() or (is_dataclass(OmegaConf.get_type(node)) and raw.keys() <= node.keys())
        return complete and all(holds_value(node_at(node, key), each) for key, each in raw.items())
    value = raw_value(node)
    if isinstance(node, UnionNode) and isinstance(value, Node):
        return holds_value(value, raw)
    if _same(value, raw) or not isinstance(node, ValueNode):
        return _same(value, raw)
    try:
        return _same(value, node.validate_and_convert(raw))
    except Exception:  # a value that cannot be converted is not the one in the node
        return False


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and (one == other or (one != one and other != other))


def scalars(written: Any, value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str, Any]]:
    """Yield ``(indices, text in YAML, value)`` of a value, or of each value in a list or mapping."""
    if isinstance(written, str):
        yield place, written, value
    elif isinstance(written, tuple) and isinstance(value, list):
        for index, (text, element) in enumerate(zip(written, value, strict=True)):
            yield from scalars(text, element, (*place, index))
    elif isinstance(written, dict) and isinstance(value, dict):
        for key, text in written.items():
            yield from scalars(text, value[key], (*place, key))


def format_indices(place: tuple[Any, ...]) -> str:
    """Return ``[0].window`` for an index and a key."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
