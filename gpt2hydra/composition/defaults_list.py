"""The defaults list: which files the chosen options bring, and what is wrong with options that bring none."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf.errors import GrammarParseError, UnsupportedValueType

from gpt2hydra.composition.conf_file import defaults_of, wrong_entries
from gpt2hydra.composition.hydra_errors import file_error
from gpt2hydra.composition.hydra_loader import file_of
from gpt2hydra.composition.layers import displayed
from gpt2hydra.composition.options import Options
from gpt2hydra.composition.overrides import Overrides
from gpt2hydra.config.errors import Violation, command_line
from gpt2hydra.utils.formatting import did_you_mean
from gpt2hydra.utils.yaml_nodes import root_node


@dataclass(frozen=True)
class Chosen:
    """The configs to merge, in order, without Hydra's own; and the option of each group."""

    files: list[ResultDefault]
    groups: dict[str, str | None]
    hydras: tuple[str, ...]
    """The options of Hydra's own groups, where any was chosen."""


def choose(options: Options, overrides: Overrides) -> Chosen | None:
    """What the choices bring; None where nothing can be read. A wrong choice is reported and left out."""
    overrides.violations += _odd_choices(options, overrides)
    try:
        return _chosen(options, overrides.choices)
    except Exception as error:  # Hydra and YAML raise what they like
        first = error
    try:
        usual = _chosen(options, ())
    except Exception as error:  # it is not the command line
        overrides.violations += _no_primary(options, error) or [file_error(error, f"{options.config_name}.yaml")]
        return _chosen_of_what_is_left(options)
    right = _right_choices(options, overrides, first)
    try:
        return _chosen(options, right) if right else usual
    except Exception:
        return usual


def _chosen_of_what_is_left(options: Options) -> Chosen | None:
    """What the defaults list brings without the groups that must be chosen."""
    try:
        return _chosen(options, (), skip_missing=True)
    except Exception:
        return None


def _chosen(options: Options, choices: Sequence[Override], *, skip_missing: bool = False) -> Chosen:
    found = options.defaults_list(choices, skip_missing=skip_missing)
    every = [each for each in found.defaults if each.config_path is not None]
    files = [each for each in every if not _is_hydras(each)]
    groups = {group: option for group, option in found.overrides.known_choices.items() if not group.startswith("hydra/")}
    return Chosen(files, groups, tuple(str(each.config_path) for each in every if _is_hydras(each)))


def _is_hydras(default: ResultDefault) -> bool:
    return str(default.config_path).startswith("hydra/")


# ------------------------------------------------------------------------------------------------------ wrong choices


def _odd_choices(options: Options, overrides: Overrides) -> Iterator[Violation]:
    """The choices of files that hold no option; they are left out."""
    for override in [*overrides.choices]:
        file = file_of(options.repository, name_of(override))
        rule = why_no_option(Path(file)) if file is not None else ""
        if rule:
            overrides.choices.remove(override)
            key, value = override.get_key_element(), override.get_value_element_as_str()
            yield Violation(key, value, rule, command_line(override.input_line))


def name_of(choice: Override) -> str:
    """The config that a choice names, from the root of the search path: ``model/large``."""
    option = choice.value()
    return f"{choice.key_or_group}/{option if isinstance(option, str) else choice.get_value_element_as_str()}"


def _right_choices(options: Options, overrides: Overrides, error: Exception) -> list[Override]:
    """The choices that load, each tried by itself; the violations of the others are added."""
    right, known = [], len(overrides.violations) + len(overrides.values)
    for override in overrides.choices:
        try:
            _chosen(options, [override])
        except Exception as each:
            if override.is_hydra_override() or override.package is not None or override.key_or_group in options.usual():
                of_list = _of_its_defaults(options, override, each)
                overrides.violations += of_list or [_blame(override, each)]
                if of_list or isinstance(each, MissingConfigException):
                    overrides.incomplete.append(override)
            elif "/" in override.key_or_group:
                key, value = override.get_key_element(), override.get_value_element_as_str()
                rule, remedy = "is a group that no defaults list has; a plus adds it", {f"+{key}": value}
                overrides.violations.append(Violation(key, value, rule, command_line(override.input_line), remedy))
            else:  # a folder, but no group of this config
                overrides.values.append(override)
        else:
            right.append(override)
    if known == len(overrides.violations) + len(overrides.values):  # each by itself is right
        overrides.violations.append(file_error(error))
    return right


def _of_its_defaults(options: Options, override: Override, error: Exception) -> list[Violation]:
    """What is wrong in the defaults list of an option's file, where Hydra refuses that."""
    of_list = isinstance(error, (ConfigCompositionException, ValueError, RecursionError))  # 1.3 has a ValueError for no list
    name = name_of(override)
    return [*_wrong_entries(options, name, name.rpartition("/")[0], set())] if of_list else []


def _wrong_entries(options: Options, name: str, group: str, seen: set[str]) -> Iterator[Violation]:
    """The wrong lines in the defaults list of a config, or else in those of the configs that it takes in."""
    file = None if name in seen else file_of(options.repository, name)
    if file is None:
        return
    seen.add(name)
    found = wrong_entries(Path(file), group, options)
    yield from found
    for entry in () if found else defaults_of(Path(file), group):
        for each in entry.files():
            yield from _wrong_entries(options, each, each.rpartition("/")[0], seen)


def _blame(override: Override, error: Exception) -> Violation:
    """The violation of a choice that does not load, or of the file that is wrong in it."""
    key, value, typed = override.get_key_element(), override.get_value_element_as_str(), command_line(override.input_line)
    violation = file_error(error, name_of(override))
    itself = isinstance(error, MissingConfigException) and error.missing_cfg_file == name_of(override)
    of_file = (MissingConfigException, yaml.YAMLError, GrammarParseError, UnsupportedValueType)
    if itself or not isinstance(error, of_file):
        return dataclasses.replace(violation, key=key, value=value, source=typed)
    return dataclasses.replace(violation, source=typed, action="chose")


def _no_primary(options: Options, error: Exception) -> list[Violation]:
    """The violation of a primary config that does not exist, or of the wrong lines in its defaults list."""
    name = options.config_name
    if not isinstance(error, (ConfigCompositionException, ValueError, RecursionError)):  # 1.3 has a ValueError for no list
        return []
    if getattr(error, "missing_cfg_file", None) != name:
        return [*_wrong_entries(options, name, "", set())]
    folders = [Path(source.path) for source in options.repository.get_sources() if source.scheme() == "file"]
    known = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
    rule = f"there is no such config; known: {', '.join(known)}{did_you_mean(name, known)}"
    return [Violation("the primary config", name, rule)]


# ------------------------------------------------------------------------------------------------------- odd files


def why_no_option(file: Path) -> str:
    """Why a file holds no option at all: it is a list or a text. Empty where it is a mapping, or empty."""
    try:
        root = root_node(str(file))
    except (OSError, yaml.YAMLError):
        return ""  # Hydra says what it is
    if isinstance(root, yaml.SequenceNode):
        return f"is a list; {displayed(str(file))} must have lines of key: value"
    if isinstance(root, yaml.ScalarNode) and root.value:
        return f"is one text; {displayed(str(file))} must have lines of key: value"
    return ""
