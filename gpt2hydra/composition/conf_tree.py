"""A folder of YAML files as Hydra sees it: its primary configs, and the groups that they list."""

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
    """A primary config, such as ``train``, and the class that it becomes, if its schema is registered."""

    name: str
    root: type[Checked] | None
    composer: Composer

    @cached_property
    def groups(self) -> Mapping[str, str | None]:
        """Group → option of the defaults list, without Hydra's own. A group may be ``model@encoder``."""
        return self._choices[0]

    @property
    def without_plugins(self) -> list[str]:
        """Overrides in place of options of Hydra's own groups that no installed plugin brings."""
        return self._choices[1]

    @cached_property
    def _choices(self) -> tuple[Mapping[str, str | None], list[str]]:
        options, instead = self.composer.options, list[str]()
        with hydra_state():
            while True:
                try:
                    found = options.defaults_list(skip_missing=True)
                except MissingConfigException as error:
                    group, _, option = str(error.missing_cfg_file).rpartition("/")
                    usual = next((each for each in ("default", "basic") if each in options.of(group)), option)
                    if not group.startswith("hydra/") or usual == option:
                        return {}, []
                    instead.append(f"{group}={usual}")
                    options.instead = tuple(map(parse, instead))
                except Exception:  # it cannot be read; composing says why
                    return {}, []
                else:
                    break
        usual_options = found.overrides.known_choices
        return {key: option for key, option in usual_options.items() if not key.startswith("hydra/")}, instead

    def options(self, group: str) -> list[str]:
        """The options of a group, whatever folder of the search path they are in."""
        with hydra_state():
            return self.composer.options.of(group.partition("@")[0])

    @cached_property
    def folders(self) -> list[Path]:
        """The folders of YAML files that Hydra searches, the first one first; Hydra's own left out."""
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
        """The file of an option, in the first folder that has it; None for a config that Python stored."""
        return next((file for folder in self.folders if (file := folder / group / f"{option}.yaml").is_file()), None)

    def class_at(self, package: str) -> type[Checked] | None:
        """The class of the keys at a package: the root's own at ``""``."""
        if not package or self.root is None:
            return self.root
        field = field_at(self.root, package)
        nested: type[Checked] | None = field.metadata.get("section") if field is not None else None
        return nested


class ConfTree:
    """The YAML files of a folder, and what Hydra makes of them."""

    def __init__(self, folder: Path, classes: Mapping[str, type[Checked]] | None = None, extra_dir: str | None = None) -> None:
        """Args:
        folder: what ``config_path`` names.
        classes: primary config → what it becomes; of others, the schema in their defaults list tells.
        extra_dir: one more folder to search, after this one (``--config-dir``).

        Raises:
            ConfigError: it is no folder, or holds no primary config.
        """
        self.folder, self._classes, self._extra_dir = folder, classes or {}, extra_dir
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "there is no such folder"
            raise ConfigError([Violation(str(folder), rule=f"{what}; must be a folder of YAML files, as conf/ is")])
        if extra_dir is not None and not Path(extra_dir).is_dir():
            raise ConfigError([Violation("--config-dir", extra_dir, "is not a folder")])
        if not any(file.stem in self._classes or _has_defaults(file) for file in folder.glob("*.yaml")):
            rule = "holds no primary config: no YAML file that stands in it has a defaults list"
            rule += "; if your program needs none, name it: --app module:function"
            raise ConfigError([Violation(str(folder), rule=rule)])

    @property
    def primary_names(self) -> list[str]:
        """The YAML files that stand in the folder itself."""
        return sorted(file.stem for file in self.folder.glob("*.yaml") if file.is_file())

    @cached_property
    def primaries(self) -> list[Primary]:
        """Every primary config."""
        return [
            Primary(name, kind, Composer(name, self.folder, self._extra_dir, once=True, config_class=kind))
            for name, kind in ((name, self._class_of(name)) for name in self.primary_names)
        ]

    def _class_of(self, name: str, seen: frozenset[str] = frozenset()) -> type[Checked] | None:
        """By the schema in its defaults list, or in that of a config that the list takes in."""
        if name in self._classes or name in seen:
            return self._classes.get(name)
        for entry in strings_in_defaults(self.folder / f"{name}.yaml"):
            found = ROOTS.get(entry) or self._class_of(entry.removeprefix("/"), seen | {name})
            if found is not None:
                return found
        return None

    def files(self, folder: Path | None = None) -> Iterator[Path]:
        """Every YAML file below the tree's folder, or another; ``.yml`` too, which Hydra does not read."""
        for where, names in walk(folder or self.folder):
            files = (Path(where, name) for name in names if name.endswith((".yaml", ".yml")))
            yield from (file for file in files if file.is_file())

    @property
    def groups(self) -> dict[str, list[Primary]]:
        """Each group (a folder of options) that a defaults list names, with the primary configs that do."""
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
    except Exception:  # it is no YAML yet; PyYAML raises what it likes
        return re.search(rb"^defaults\s*:", text, re.MULTILINE) is not None
    return isinstance(content, dict) and "defaults" in content


def strings_in_defaults(file: Path) -> list[str]:
    """The entries of a file's defaults list that are plain names; none where it cannot be read."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return []
    entries = content.get("defaults") if isinstance(content, dict) else None
    return [each for each in entries if isinstance(each, str)] if isinstance(entries, list) else []
