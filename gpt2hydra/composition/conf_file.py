"""Read one YAML file of a conf tree: its root node, its defaults list with line numbers, its package."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import GrammarParseError

from gpt2hydra.composition.hydra_errors import file_violation
from gpt2hydra.composition.layers import Layer, display_path, layer_of_yaml
from gpt2hydra.composition.options import Options
from gpt2hydra.config.errors import ConfigError, Source, Violation
from gpt2hydra.utils.formatting import closest, describe_type, did_you_mean, error_reason, format_value
from gpt2hydra.utils.yaml_nodes import read_with_repeated_keys, root_node
from gpt2hydra.utils.yaml_nodes import read_yaml as read_values

UNKNOWN_SCHEMA = "no known program has this schema; name yours: --app module:function"


_HEADER_CHARACTERS = 512
"""Characters at the beginning of a file in which Hydra searches ``# @package``."""

_GLOBAL = "# @package _global_"


@dataclass(frozen=True)
class Entry:
    """A line of a defaults list: a group, ``override /model@encoder: xl``, or a config, ``train_schema``.

    ``word`` is ``override``, ``optional`` or empty. ``path`` is relative to the search path. ``options`` is
    None for a config, empty if none is chosen.
    """

    line: int
    text: str
    word: str
    path: str
    package: str
    options: tuple[str, ...] | None

    def files(self) -> list[str]:
        """Return the configs that it names, relative to the search path: ``model/large``."""
        return [self.path] if self.options is None else [f"{self.path}/{each}" for each in self.options]


def read_yaml(file: Path) -> yaml.Node | None:
    """Return the root node of a YAML file; None if it is empty.

    Raises:
        ConfigError: it is not UTF-8, not YAML, has a key twice, or is not a mapping; the source has the line.
    """
    name = display_path(str(file))
    try:
        root: yaml.Node | None = root_node(str(file))
        value = read_values(str(file)).value
    except OSError as error:
        raise ConfigError(
            [Violation(name, rule=f"cannot be read: {error_reason(error)}", source=Source("file", name))]
        ) from None
    except yaml.MarkedYAMLError as error:
        rule, line = file_violation(error).rule, error.problem_mark.line + 1 if error.problem_mark else 1
    else:
        unreadable = _unreadable_reference(str(file), os.stat(file).st_mtime_ns)
        if unreadable is None and (value is None or isinstance(value, dict)):
            return root
        rule, line = unreadable or (f"must be a YAML file of key: value lines, not {describe_type(value)}", 1)
    raise ConfigError([Violation(name, rule=rule, source=Source("file", name, line))])


@functools.lru_cache(maxsize=1024)
def _unreadable_reference(path: str, modified: int) -> tuple[str, int] | None:
    """Return the rule and the line of the first ``${...}`` in a file that OmegaConf cannot parse, or None."""
    waiting = [root_node(path)]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif node is not None and "${" in node.value:
            try:
                OmegaConf.create([node.value])
            except GrammarParseError:
                what = "is not closed" if node.value.count("{") > node.value.count("}") else "cannot be read"
                return f"has a ${{...}} that {what}: {node.value}", node.start_mark.line + 1
    return None


def is_readable(file: Path) -> bool:
    """Return whether a file is YAML that Hydra can read."""
    try:
        read_yaml(file)
    except ConfigError:
        return False
    return True


def repeated_keys(file: Path) -> list[Violation]:
    """Return a violation for each duplicate key of a file; none if anything else is wrong with it."""
    name = display_path(str(file))
    try:
        _, _, repeated = read_with_repeated_keys(str(file))
    except (OSError, ValueError, yaml.YAMLError):
        return []
    return [Violation(name, rule=f"has the key {key} twice", source=Source("file", name, line)) for key, line in repeated]


def layer_despite_repeated_keys(file: Path) -> Layer | None:
    """Return the layer of a file with duplicate keys (the last one is used); None if anything else is wrong."""
    try:
        _, written, _ = read_with_repeated_keys(str(file))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    layer = layer_of_yaml(written, display_path(str(file)))
    if not isinstance(layer.value, dict):
        return None
    return dataclasses.replace(
        layer, value={key: each for key, each in layer.value.items() if key not in ("defaults", "hydra")}
    )


def defaults_entries(file: Path, group: str) -> list[Entry]:
    """Return the entries of a file's defaults list; ``group`` is the folder of the file, from the root.

    Raises:
        ConfigError: the file cannot be read, or its ``defaults`` is not a defaults list.
    """
    name = display_path(str(file))
    try:
        root = read_yaml(file)
    except ConfigError:
        if not repeated_keys(file):
            raise
        root = read_with_repeated_keys(str(file))[0]
    found: list[Entry] = []
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():  # a file may contain only the word null
        if key.value != "defaults":
            continue
        if not isinstance(value, yaml.SequenceNode):
            where = Source("file", name, key.start_mark.line + 1)
            raise ConfigError([Violation("defaults", rule="must be a list with lines '- group: option'", source=where)])
        found += (entry for item in value.value for entry in _entries(item, group, name))
    return found


def _entries(item: yaml.Node, group: str, name: str) -> Iterator[Entry]:
    if isinstance(item, yaml.ScalarNode):
        yield _entry(item, item.value, None, group)
    elif isinstance(item, yaml.MappingNode):
        for key, value in item.value:
            parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
            if not all(isinstance(part, yaml.ScalarNode) for part in (key, *parts)):
                where = Source("file", name, key.start_mark.line + 1)
                raise ConfigError([Violation("defaults", rule="must name an option: '- group: option'", source=where)])
            chosen = tuple(part.value for part in parts if part.tag != "tag:yaml.org,2002:null")
            yield _entry(key, key.value, chosen, group)


def _entry(node: yaml.Node, text: str, options: tuple[str, ...] | None, group: str) -> Entry:
    *words, name = text.split() or [""]
    path, _, package = name.partition("@")
    path = path[1:] if path.startswith("/") else f"{group}/{path}".lstrip("/")
    written = text if options is None else f"{text}: {', '.join(options) or 'null'}"
    return Entry(node.start_mark.line + 1, written, words[0] if words else "", path, package, options)


def check_entries(file: Path, group: str, options: Options) -> list[Violation]:
    """Return the violations in a file's defaults list. It is called after Hydra rejected the file."""
    try:
        entries, name = defaults_entries(file, group), display_path(str(file))
    except ConfigError as error:
        return [*error.violations]
    own = {entry.path for entry in entries if entry.word != "override"}
    itself, found = f"{group}/{file.stem}".lstrip("/"), []
    for number, entry in enumerate(entries):
        if entry.text == "_self_" and entry.text in [each.text for each in entries[:number]]:
            rule: str | None = "is a duplicate; a defaults list has one"
        elif itself in entry.files():
            rule = "includes this file itself"
        else:
            rule = _entry_rule(entry, options, own, file.stem, is_primary=not group)
        if rule:
            found.append(Violation(f"defaults: {format_value(entry.text)}", rule=rule, source=Source("file", name, entry.line)))
    return [each for each in found if each.rule == UNKNOWN_SCHEMA] or found  # then its groups are unknown too


def _entry_rule(entry: Entry, options: Options, own: set[str], itself: str, *, is_primary: bool) -> str | None:
    if entry.word == "optional" or entry.text == "_self_" or "${" in entry.text:
        return None
    if entry.options is None:
        if options.repository.config_exists(entry.path):
            return None
        folder, _, last = entry.path.rpartition("/")
        known = [each for each in options.of(folder) if each != itself]
        if last == f"{itself}_schema" or (last.endswith("_schema") and closest(last, known, cutoff=0.85) is None):
            return UNKNOWN_SCHEMA
        near = did_you_mean(last, known)
        group = next((each for each in _own_groups(options) if not folder and last in options.of(each)), None)
        return f"there is no such config{near}" + (f"; did you mean '{group}: {last}'?" if group and not near else "")
    group = f"{entry.path}@{entry.package}" if entry.package else entry.path
    groups = options.default_choices()  # none if the list cannot be read
    if groups and entry.word == "override" and group not in groups and entry.path not in own:
        return f"overrides a group that is in no defaults list{_group_meant(entry, groups)}"
    if entry.options and not options.is_group(entry.path):  # Hydra does not search a group without a chosen option
        return f"there is no such group{_group_meant(entry, _own_groups(options), groups)}"
    if entry.word != "override" and not is_primary and group in groups:
        return f"chooses a group that {options.config_name} already chose; write 'override /{group}'"
    known = options.of(entry.path)
    wrong = [each for each in entry.options if each not in known and each != "???" and not options.has(entry.path, each)]
    if not wrong:
        return None
    meant = did_you_mean(wrong[0], known)
    plugin = "" if meant or not entry.path.startswith("hydra/") else f"; is the plugin with {wrong[0]} installed?"
    which = f"{wrong[0]} " if len(entry.options) > 1 else ""
    return f"{which}must be one of {', '.join(known)}{meant}{plugin}"


def _own_groups(options: Options) -> list[str]:
    """Return the groups at the top of the search path, except those of Hydra and of this package."""
    return [each for each in options.loader.list_groups("") if each not in ("hydra", "gpt2")]


def _group_meant(entry: Entry, known: Iterable[str], chosen: Iterable[str] = ()) -> str:
    """Return ``; did you mean /db?`` with the probable group; in a folder's files it begins with a slash."""
    folder, _, last = entry.path.rpartition("/")
    groups = [each for each in known if each != folder]
    near = closest(last, groups, cutoff=0.75) or closest(entry.path, groups)
    if near is None:
        return f"; known: {', '.join(groups)}" if groups and not folder else ""
    name = f"/{near}" if folder or entry.word == "override" else near
    return f"; did you mean {name if not folder or near not in chosen else repr(f'override {name}')}?"


def package_of(file: Path, group: str) -> str:
    """Return the package of a group's file as a dotted key: from ``# @package``, else from its folder."""
    written = None
    for line in filter(None, map(str.strip, _text(file)[:_HEADER_CHARACTERS].splitlines())):
        if not re.match(r"#\s*@", line):
            break
        found = re.fullmatch(r"#\s*@package\s+(\S+)", line)
        written = found[1] if found else written
    own = group.replace("/", ".")
    package = (written or "_group_").replace("_group_", own).replace("_name_", file.stem)
    return package.removeprefix("_global_").removeprefix(".")


def explain_not_global(file: Path) -> str:
    """Return why the keys of a file, such as an experiment, are not at the root: it lacks ``_GLOBAL``."""
    text, shown = _text(file), display_path(str(file))
    lines = [line.strip() for line in text.splitlines()]
    if not text.strip():
        return f"names {shown}, which is empty"
    if text.startswith("\ufeff"):
        return f"names {shown}, which begins with a byte-order mark; save it as UTF-8 without one"
    if _GLOBAL in lines:
        return f"names {shown}, which has '{_GLOBAL}' on line {lines.index(_GLOBAL) + 1}; it must be the first line"
    return f"names {shown}, whose first line must be: {_GLOBAL}"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
