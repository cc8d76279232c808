"""A conf tree as Hydra sees it: the primary configs, their groups and options, and the YAML files."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml
from hydra.errors import MissingConfigException

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_state import hydra_state, parse
from gpt2hydra.composition.schema import ROOTS
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.keys import field_at
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.paths import walk


@dataclass(frozen=True)
class Primary:
    """One primary config, such as ``train``, and its class; None if its schema is not registered."""

    name: str
    root: type[Checked] | None
    composer: Composer

    @cached_property
    def groups(self) -> Mapping[str, str | None]:
        """Group (``model``, ``model@encoder``) of the defaults list → default option, except Hydra's."""
        return self._choices[0]

    @property
    def plugin_replacements(self) -> list[str]:
        """Overrides that replace options of Hydra's own groups whose plugins are not installed."""
        return self._choices[1]

    @cached_property
    def _choices(self) -> tuple[Mapping[str, str | None], list[str]]:
        options, replacements = self.composer.options, list[str]()
        with hydra_state():
            while True:
                try:
                    found = options.defaults_list(skip_missing=True)
                except MissingConfigException as error:
                    group, _, option = str(error.missing_cfg_file).rpartition("/")
                    default = next((each for each in ("default", "basic") if each in options.of(group)), option)
                    if not group.startswith("hydra/") or default == option:
                        return {}, []
                    replacements.append(f"{group}={default}")
                    options.replacements = tuple(map(parse, replacements))
                except Exception:  # it cannot be read; composing reports why
                    return {}, []
                else:
                    break
        default_choices = found.overrides.known_choices
        return {key: option for key, option in default_choices.items() if not key.startswith("hydra/")}, replacements

    def options(self, group: str) -> list[str]:
        """Return the options of a group, in all folders of the search path."""
        with hydra_state():
            return self.composer.options.of(group.partition("@")[0])

    @cached_property
    def folders(self) -> list[Path]:
        """The folders of YAML files that Hydra searches, in order, without Hydra's own."""
        found = []
        with hydra_state():
            sources = self.composer.options.repository.get_sources()
        for source in sources:
            if source.scheme() == "file":
                found.append(Path(source.path))
            elif source.scheme() == "pkg" and not source.path.startswith("hydra."):
                found.append(Path(str(importlib.resources.files(source.path))))
        return found

    def file(self, group: str, option: str) -> Path | None:
        """Return the file of an option in the first folder that has it; None if it is in the ConfigStore."""
        return next((file for folder in self.folders if (file := folder / group / f"{option}.yaml").is_file()), None)

    def class_at(self, package: str) -> type[Checked] | None:
        """Return the class of the section at a package, or None; ``""`` is the root."""
        if not package or self.root is None:
            return self.root
        field = field_at(self.root, package)
        nested: type[Checked] | None = field.metadata.get("section") if field is not None else None
        return nested


class ConfTree:
    """The YAML files of a folder, with its primary configs and groups."""

    def __init__(self, folder: Path, classes: Mapping[str, type[Checked]] | None = None, extra_dir: str | None = None) -> None:
        """Args:
        folder: the folder that ``config_path`` names.
        classes: primary config → its class; by default the class of the schema in its defaults list.
        extra_dir: another folder to search, after ``folder`` (``--config-dir``).

        Raises:
            ConfigError: it is not a folder, or has no primary config.
        """
        self.folder, self._classes, self._extra_dir = folder, classes or {}, extra_dir
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "there is no such folder"
            raise ConfigError([Violation(str(folder), rule=f"{what}; must be a folder of YAML files, like conf/")])
        if extra_dir is not None and not Path(extra_dir).is_dir():
            raise ConfigError([Violation("--config-dir", extra_dir, "is not a folder")])
        if not any(file.stem in self._classes or _has_defaults(file) for file in folder.glob("*.yaml")):
            rule = "holds no primary config: no YAML file directly in it has a defaults list"
            rule += "; if your program needs none, name it: --app module:function"
            raise ConfigError([Violation(str(folder), rule=rule)])

    @property
    def primary_names(self) -> list[str]:
        """The names of the YAML files directly in the folder, without ``.yaml``."""
        return sorted(file.stem for file in self.folder.glob("*.yaml") if file.is_file())

    @cached_property
    def primaries(self) -> list[Primary]:
        """All primary configs."""
        return [
            Primary(name, kind, Composer(name, self.folder, self._extra_dir, once=True, config_class=kind))
            for name, kind in ((name, self._class_of(name)) for name in self.primary_names)
        ]

    def _class_of(self, name: str, seen: frozenset[str] = frozenset()) -> type[Checked] | None:
        """Return the class of the schema in its defaults list, or in one that it includes; else None."""
        if name in self._classes or name in seen:
            return self._classes.get(name)
        for entry in strings_in_defaults(self.folder / f"{name}.yaml"):
            found = ROOTS.get(entry) or self._class_of(entry.removeprefix("/"), seen | {name})
            if found is not None:
                return found
        return None

    def files(self, folder: Path | None = None) -> Iterator[Path]:
        """Yield every YAML file below ``folder`` (default: the tree's); also ``.yml``, which Hydra ignores."""
        for where, names in walk(folder or self.folder):
            files = (Path(where, name) for name in names if name.endswith((".yaml", ".yml")))
            yield from (file for file in files if file.is_file())

    @property
    def groups(self) -> dict[str, list[Primary]]:
        """Each group (a folder of options) in a defaults list → the primary configs that list it."""
        found: dict[str, list[Primary]] = {}
        for primary in self.primaries:
            for key in primary.groups:
                found.setdefault(key.partition("@")[0], [])
                if primary not in found[key.partition("@")[0]]:
                    found[key.partition("@")[0]].append(primary)
        return found


def _has_defaults(file: Path) -> bool:
    try:
        text = file.read_bytes() if file.is_file() else b""
    except OSError:
        return False
    try:
        content = yaml.safe_load(text)
    except Exception:  # it is not valid YAML; PyYAML may raise anything
        return re.search(rb"^defaults\s*:", text, re.MULTILINE) is not None
    return isinstance(content, dict) and "defaults" in content


def strings_in_defaults(file: Path) -> list[str]:
    """Return the entries of a file's defaults list that are only names; none if the file cannot be read."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return []
    entries = content.get("defaults") if isinstance(content, dict) else None
    return [each for each in entries if isinstance(each, str)] if isinstance(entries, list) else []
