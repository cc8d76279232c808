"""Read YAML as OmegaConf does, and keep its nodes, which hold the line and the source text of each value.

Needs only PyYAML.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import yaml
from yaml import Mark
from yaml.constructor import ConstructorError
from yaml.reader import Reader, ReaderError
from yaml.scanner import ScannerError

from gpt2hydra.utils.formatting import format_value

OCTAL = r"[-+]?0[0-7_]+"
SEXAGESIMAL = r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
"""Texts that YAML 1.1 reads as numbers of base 8 and 60 (yaml.org/type/int.html, float.html)."""

_MISREAD_NUMBER = re.compile(f"{OCTAL}|{SEXAGESIMAL}")

_FLOAT = r"[-+]?\d+(?:_\d+)*(?:\.[\d_]*)?[eE][-+]?\d+"
"""Texts that OmegaConf also reads as numbers: exponents without a point or a sign."""

MAX_EXPANDED_VALUES, MAX_EXPANSION_RATIO = 10_000, 100
"""Limits of alias expansion (``*name``): values, and, above 1,000, their ratio to the values in the file.
OmegaConf 2.4 has the same limits; with older versions, a file of nine lines could take minutes.
"""

MAX_DEPTH = 100
"""Levels of nesting. With more, Hydra would end in a RecursionError."""


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(_Base):  # type: ignore[misc]
    """Reads as both versions of OmegaConf do, with libyaml if that is installed.

    ``1e3`` is a number, a date is text, and a repeated key or a null key is an error.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, list[Any]]] = {
        first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """The values of a mapping, after a check of its keys."""
        _refuse_keys(node)
        return super().construct_mapping(node, deep=deep)


Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(rf"(?:{_FLOAT})$"), list("-+0123456789"))


def is_misread_number(written: str) -> bool:
    """Whether YAML 1.1 reads the text as a number of base 8 or 60."""
    return _MISREAD_NUMBER.fullmatch(written) is not None


def decimal(written: str) -> str:
    """``012`` → ``12``; empty if the text was not meant as a decimal number."""
    return "" if ":" in written else str(int(written.replace("_", "")))  # int('012') is 12


def misread_rule(written: str, value: object) -> str:
    """The rule for a number that YAML reads with another meaning than its author's."""
    return f"YAML reads it as {format_value(value)}; in the file, write {decimal(written) or value}"


@dataclass(frozen=True)
class YamlValue:
    """A value of a file, as YAML reads it; for a mapping, key → :class:`YamlValue`.

    ``text`` is the source text of a plain scalar, ``items`` has the elements of a list.
    """

    value: Any
    line: int
    text: str | None = None
    items: tuple[YamlValue, ...] = ()

    @property
    def texts(self) -> Any:
        """``text``; for a list a tuple, for a mapping a dictionary, of its values' texts."""
        if isinstance(self.value, dict):
            return {key: each.texts for key, each in self.value.items() if isinstance(each, YamlValue)}
        return tuple(each.texts for each in self.items) if self.items else self.text


def strip_lines(written: YamlValue) -> Any:
    """The value without lines and texts."""
    return {key: strip_lines(each) for key, each in written.value.items()} if isinstance(written.value, dict) else written.value


def check_yaml(path: str) -> None:
    """Check the nodes of a file before it is converted to values. An unchanged file is checked only once.

    Raises:
        yaml.MarkedYAMLError: it is not UTF-8, not YAML, repeats a key, contains itself, or its aliases expand
            too far; with the line.
        OSError: it cannot be read.
    """
    _load(path)


def read_yaml(path: str) -> YamlValue:
    """The values of a file, ``None`` if it is empty; ``<<`` is replaced by its keys, before the others.

    Raises:
        yaml.MarkedYAMLError, OSError: as :func:`check_yaml`.
    """
    return _load(path).written


def read_with_repeated_keys(path: str) -> tuple[Any, YamlValue, list[tuple[str, int]]]:
    """Read a file in which keys may be repeated: the last one wins.

    Returns:
        The root node, the values, and ``(key, line)`` of each repeated key.

    Raises:
        yaml.MarkedYAMLError, OSError: the file has another error.
    """
    with open(path, encoding="utf-8") as file:
        loader = Loader(file)
        root = loader.get_single_node()
    repeated = []
    for node in _iter_nodes(root):
        if node.id == "mapping":
            last: dict[Any, Any] = {}
            for key, value in node.value:
                name = (key.tag, key.value) if key.id == "scalar" and not key.tag.endswith(":merge") else id(key)
                if name in last:
                    repeated.append((key.value, key.start_mark.line + 1))
                last[name] = (key, value)
            node.value = [*last.values()]
    checked = _check_nodes(loader, root)
    return checked.root, checked.written, repeated


def root_node(path: str) -> Any:
    """The root of a file's YAML nodes, None if it is empty; raises as :func:`check_yaml`."""
    return _load(path).root


@dataclass
class _YamlFile:
    root: Any

    @functools.cached_property
    def written(self) -> YamlValue:
        loader = Loader("")  # a new one, because a failed construction leaves values in it
        value = loader.construct_document(self.root) if self.root is not None else None
        return _yaml_value(loader, self.root, value, 1)


def _yaml_value(loader: Any, node: Any, value: Any, line: int) -> YamlValue:
    if node is not None and node.id == "mapping" and isinstance(value, dict):
        values = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            values[key] = _yaml_value(loader, value_node, value[key], key_node.start_mark.line + 1)
        return YamlValue(values, line)
    plain = node is not None and node.id == "scalar" and not (node.style and node.tag.endswith(":str"))  # !!int '12' is plain
    elements = zip(node.value, value, strict=True) if node is not None and node.id == "sequence" else ()
    items = tuple(_yaml_value(loader, each, element, each.start_mark.line + 1) for each, element in elements)
    return YamlValue(value, line, node.value if plain else None, items)


def _load(path: str) -> _YamlFile:
    status = os.stat(path)
    return _load_version(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=1024)
def _load_version(path: str, modified: int, size: int) -> _YamlFile:
    try:
        with open(path, encoding="utf-8") as file:
            loader = Loader(file)
            root = loader.get_single_node()
    except (UnicodeDecodeError, ReaderError) as error:
        raise _encoding_error(path) from error
    except (ScannerError, RecursionError) as error:  # libyaml's own limit, and Python's
        if isinstance(error, RecursionError) or "nesting depth" in str(error.problem):
            raise _depth_error(getattr(error, "problem_mark", None) or Mark(path, 0, 0, 0, None, 0)) from error
        raise
    return _check_nodes(loader, root)


def _check_nodes(loader: Any, root: Any) -> _YamlFile:
    if root is not None:
        _refuse_expansion(root)
    for node in _iter_nodes(root):
        _refuse_keys(node)
        _refuse_bad_tag(loader, node)
    return _YamlFile(root)


def _encoding_error(path: str) -> Exception:
    """The error of a file with characters that YAML does not accept. PyYAML and Python give no line."""
    with open(path, "rb") as file:
        for number, line in enumerate(file):
            try:
                Reader(line.decode("utf-8"))
            except UnicodeDecodeError:
                problem = "is not UTF-8"
            except ReaderError as error:
                problem = f"has the character {chr(error.character)!a}, which YAML does not accept"
            else:
                continue
            return ConstructorError(None, None, problem, Mark(path, 0, number, 0, None, 0))
    return OSError(f"{path} has changed")


def _depth_error(mark: Any) -> Exception:
    return ConstructorError(None, None, f"is nested more than {MAX_DEPTH} levels deep", mark)


def _refuse(node: Any, problem: str) -> NoReturn:
    raise ConstructorError(None, None, problem, node.start_mark)


def _refuse_keys(node: Any) -> None:
    """Refuse keys that no config can hold."""
    if node.id == "mapping":
        seen = set()
        for key, _ in node.value:
            if key.id != "scalar":
                _refuse(key, f"has a {key.id} in place of a key")
            if key.tag.endswith(":null"):
                _refuse(key, "has null in place of a key")
            if (key.tag, key.value) in seen:
                _refuse(key, f"has the key {key.value} twice")
            if not key.tag.endswith(":merge"):
                seen.add((key.tag, key.value))


def _refuse_bad_tag(loader: Any, node: Any) -> None:
    """Refuse ``!!int abc``, because Python's error has no line, and unknown tags."""
    tag = node.tag.replace("tag:yaml.org,2002:", "!!")
    if tag in ("!!int", "!!float", "!!bool") and node.id == "scalar":
        try:
            loader.construct_object(node)
        except Exception:  # PyYAML's constructors may raise anything
            _refuse(node, f"has a value that is no {tag}: {format_value(node.value)}")
    elif node.tag not in loader.yaml_constructors and tag not in ("!!merge", "!!value"):  # '<<' and '=', which are keys
        _refuse(node, f"has the tag {tag}, which is unknown")


def _refuse_expansion(root: Any) -> None:
    sizes: dict[int, int] = {}
    above: set[int] = set()

    def size(node: Any) -> int:
        if id(node) in above:
            _refuse(node, "contains itself through the anchor (&name) at this line")
        if len(above) > MAX_DEPTH:
            raise _depth_error(node.start_mark)
        if id(node) not in sizes:
            above.add(id(node))
            sizes[id(node)] = 1 + sum(map(size, _children(node)))
            above.discard(id(node))
        return sizes[id(node)]

    unfolded = size(root)
    written = len(sizes)
    if unfolded > written and (unfolded > MAX_EXPANDED_VALUES or unfolded > max(1000, MAX_EXPANSION_RATIO * written)):
        _refuse(root, f"its aliases (*name) expand {written:,} values to {unfolded:,}; the limit is {MAX_EXPANDED_VALUES:,}")


def _children(node: Any) -> list[Any]:
    if isinstance(node.value, str):
        return []
    return [each for pair in node.value for each in pair] if node.id == "mapping" else list(node.value)


def _iter_nodes(root: Any) -> Iterator[Any]:
    """Yield each node once, even if several aliases refer to it."""
    seen: set[int] = set()
    left = [root] if root is not None else []
    while left:
        node = left.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            left += _children(node)
