"""How this package reads YAML: with what OmegaConf reads, and with the nodes, which know file, line and what was written.

PyYAML alone is needed.
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

from gpt2hydra.utils.formatting import show

OCTAL = r"[-+]?0[0-7_]+"
SEXAGESIMAL = r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
"""What YAML 1.1 takes for numbers of base 8 and 60 (yaml.org/type/int.html, float.html)."""

_MISREAD_NUMBER = re.compile(f"{OCTAL}|{SEXAGESIMAL}")

_FLOAT = r"[-+]?\d+(?:_\d+)*(?:\.[\d_]*)?[eE][-+]?\d+"
"""What OmegaConf takes for a number besides: exponents without a point or a sign."""

MOST_UNFOLDED, MOST_TIMES = 10_000, 100
"""A file is refused whose aliases (``*name``) unfold it to more values than this, or, from 1,000 on, to so many times its own.
OmegaConf 2.4 has the same limits; before, nine lines could keep it busy for minutes.
"""

MOST_DEEP = 100
"""Levels of nesting. Deeper, Python's own stack would end Hydra."""


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(_Base):  # type: ignore[misc]
    """Reads as both versions of OmegaConf do, with libyaml where that is there.

    ``1e3`` is a number, a date is text, and a key that stands twice in a mapping, or is none, is an error.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, list[Any]]] = {
        first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """The values of a mapping, if its keys are what a config can hold."""
        _refuse_keys(node)
        return super().construct_mapping(node, deep=deep)


Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(rf"(?:{_FLOAT})$"), list("-+0123456789"))


def is_misread_number(written: str) -> bool:
    """Whether YAML 1.1 takes the text for a number of base 8 or 60."""
    return _MISREAD_NUMBER.fullmatch(written) is not None


def decimal(written: str) -> str:
    """``012`` → ``12``; nothing where no decimal number was meant."""
    return "" if ":" in written else str(int(written.replace("_", "")))  # int('012') is 12


def misread_rule(written: str, value: object) -> str:
    """The rule for a number that YAML reads otherwise than it was meant."""
    return f"YAML reads it as {show(value)}; in the file, write {decimal(written) or value}"


@dataclass(frozen=True)
class Written:
    """A value of a file, as YAML reads it: of a mapping, key → :class:`Written`.

    ``text`` is how a plain scalar was written, ``items`` has the elements of a list.
    """

    value: Any
    line: int
    text: str | None = None
    items: tuple[Written, ...] = ()

    @property
    def texts(self) -> Any:
        """``text``; of a list a tuple, of a mapping a dictionary of those of what is in it."""
        if isinstance(self.value, dict):
            return {key: each.texts for key, each in self.value.items() if isinstance(each, Written)}
        return tuple(each.texts for each in self.items) if self.items else self.text


def plain(written: Written) -> Any:
    """The value alone."""
    return {key: plain(each) for key, each in written.value.items()} if isinstance(written.value, dict) else written.value


def check_yaml(path: str) -> None:
    """Check a file's nodes before values are made of them. A file that did not change is checked once.

    Raises:
        yaml.MarkedYAMLError: it is no UTF-8, no YAML, has a key twice, contains itself, or unfolds without
            end; with the line.
        OSError: it cannot be read.
    """
    _file(path)


def read_yaml(path: str) -> Written:
    """The values of a file, ``None`` of an empty one; ``<<`` is gone, its keys stand before the mapping's own.

    Raises:
        yaml.MarkedYAMLError, OSError: as :func:`check_yaml`.
    """
    return _file(path).written


def without_repeated_keys(path: str) -> tuple[Any, Written, list[tuple[str, int]]]:
    """Root node and values of a file in which the last of a key that stands twice counts, and ``(key, line)`` of each such.

    Raises:
        yaml.MarkedYAMLError, OSError: something else is wrong with it.
    """
    with open(path, encoding="utf-8") as file:
        loader = Loader(file)
        root = loader.get_single_node()
    repeated = []
    for node in _nodes(root):
        if node.id == "mapping":
            last: dict[Any, Any] = {}
            for key, value in node.value:
                name = (key.tag, key.value) if key.id == "scalar" and not key.tag.endswith(":merge") else id(key)
                if name in last:
                    repeated.append((key.value, key.start_mark.line + 1))
                last[name] = (key, value)
            node.value = [*last.values()]
    checked = _checked(loader, root)
    return checked.root, checked.written, repeated


def root_node(path: str) -> Any:
    """The root of a file's YAML nodes, None of an empty one; raises as :func:`check_yaml`."""
    return _file(path).root


@dataclass
class _File:
    root: Any

    @functools.cached_property
    def written(self) -> Written:
        loader = Loader("")  # a new one, for a construction that failed would leave half of its values in it
        value = loader.construct_document(self.root) if self.root is not None else None
        return _written(loader, self.root, value, 1)


def _written(loader: Any, node: Any, value: Any, line: int) -> Written:
    if node is not None and node.id == "mapping" and isinstance(value, dict):
        values = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            values[key] = _written(loader, value_node, value[key], key_node.start_mark.line + 1)
        return Written(values, line)
    plain = node is not None and node.id == "scalar" and not (node.style and node.tag.endswith(":str"))  # !!int '12' is
    elements = zip(node.value, value, strict=True) if node is not None and node.id == "sequence" else ()
    items = tuple(_written(loader, each, element, each.start_mark.line + 1) for each, element in elements)
    return Written(value, line, node.value if plain else None, items)


def _file(path: str) -> _File:
    status = os.stat(path)
    return _check_yaml(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=1024)
def _check_yaml(path: str, modified: int, size: int) -> _File:
    try:
        with open(path, encoding="utf-8") as file:
            loader = Loader(file)
            root = loader.get_single_node()
    except (UnicodeDecodeError, ReaderError) as error:
        raise _no_text(path) from error
    except (ScannerError, RecursionError) as error:  # libyaml's own limit, and Python's
        if isinstance(error, RecursionError) or "nesting depth" in str(error.problem):
            raise _too_deep(getattr(error, "problem_mark", None) or Mark(path, 0, 0, 0, None, 0)) from error
        raise
    return _checked(loader, root)


def _checked(loader: Any, root: Any) -> _File:
    if root is not None:
        _refuse_unfolding(root)
    for node in _nodes(root):
        _refuse_keys(node)
        _refuse_no_value(loader, node)
    return _File(root)


def _no_text(path: str) -> Exception:
    """The error of a file with bytes or signs that YAML does not take. PyYAML and Python tell where, but not the line."""
    with open(path, "rb") as file:
        for number, line in enumerate(file):
            try:
                Reader(line.decode("utf-8"))
            except UnicodeDecodeError:
                problem = "is not UTF-8"
            except ReaderError as error:
                problem = f"has the sign {chr(error.character)!a}, which YAML does not take"
            else:
                continue
            return ConstructorError(None, None, problem, Mark(path, 0, number, 0, None, 0))
    return OSError(f"{path} has changed")


def _too_deep(mark: Any) -> Exception:
    return ConstructorError(None, None, f"is nested more than {MOST_DEEP} deep", mark)


def _refuse(node: Any, problem: str) -> NoReturn:
    raise ConstructorError(None, None, problem, node.start_mark)


def _refuse_keys(node: Any) -> None:
    """Keys that no config can hold."""
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


def _refuse_no_value(loader: Any, node: Any) -> None:
    """``!!int abc``, of which Python would say something without a line, and tags that nobody knows."""
    tag = node.tag.replace("tag:yaml.org,2002:", "!!")
    if tag in ("!!int", "!!float", "!!bool") and node.id == "scalar":
        try:
            loader.construct_object(node)
        except Exception:  # PyYAML's constructors raise what they like
            _refuse(node, f"has a value that is no {tag}: {show(node.value)}")
    elif node.tag not in loader.yaml_constructors and tag not in ("!!merge", "!!value"):  # '<<' and '=', which are keys
        _refuse(node, f"has the tag {tag}, which no config has")


def _refuse_unfolding(root: Any) -> None:
    sizes: dict[int, int] = {}
    above: set[int] = set()

    def size(node: Any) -> int:
        if id(node) in above:
            _refuse(node, "contains itself through the anchor (&name) at this line")
        if len(above) > MOST_DEEP:
            raise _too_deep(node.start_mark)
        if id(node) not in sizes:
            above.add(id(node))
            sizes[id(node)] = 1 + sum(map(size, _children(node)))
            above.discard(id(node))
        return sizes[id(node)]

    unfolded = size(root)
    written = len(sizes)
    if unfolded > written and (unfolded > MOST_UNFOLDED or unfolded > max(1000, MOST_TIMES * written)):
        _refuse(root, f"its aliases (*name) unfold {written:,} values to {unfolded:,}; {MOST_UNFOLDED:,} are the most")


def _children(node: Any) -> list[Any]:
    if isinstance(node.value, str):
        return []
    return [each for pair in node.value for each in pair] if node.id == "mapping" else list(node.value)


def _nodes(root: Any) -> Iterator[Any]:
    """Each node once, however many aliases refer to it."""
    seen: set[int] = set()
    left = [root] if root is not None else []
    while left:
        node = left.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            left += _children(node)
