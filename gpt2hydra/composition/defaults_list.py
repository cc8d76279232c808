"""Evaluate the defaults list: find the files of the chosen options, and the violations of the choices."""

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

from gpt2hydra.composition.conf_file import check_entries, defaults_entries
from gpt2hydra.composition.hydra_errors import file_violation
from gpt2hydra.composition.hydra_loader import user_file
from gpt2hydra.composition.layers import display_path
from gpt2hydra.composition.options import Options
from gpt2hydra.composition.overrides import Overrides
from gpt2hydra.config.errors import Violation, command_line
from gpt2hydra.utils.formatting import did_you_mean
from gpt2hydra.utils.yaml_nodes import root_node


@dataclass(frozen=True)
class Chosen:
    """The configs to merge, in order, without Hydra's own; and group → option of each group."""

    files: list[ResultDefault]
    groups: dict[str, str | None]
    hydra_configs: tuple[str, ...]
    """The configs of options of Hydra's own groups; empty if none was chosen."""


def choose(options: Options, overrides: Overrides) -> Chosen | None:
    """Return the configs of the choices; None if no config loads.

    For each invalid choice, a violation is added to ``overrides``, and the choice is left out.
    """
    overrides.violations += _drop_invalid_files(options, overrides)
    try:
        return _load_choices(options, overrides.choices)
    except Exception as error:  # Hydra and YAML may raise anything
        first = error
    try:
        default_choices = _load_choices(options, ())
    except Exception as error:  # the error is not in the command line
        overrides.violations += _check_primary(options, error) or [file_violation(error, f"{options.config_name}.yaml")]
        return _load_without_missing(options)
    right = _keep_valid_choices(options, overrides, first)
    try:
        return _load_choices(options, right) if right else default_choices
    except Exception:
        return default_choices


def _load_without_missing(options: Options) -> Chosen | None:
    """Return the configs of the defaults list without groups that must be chosen; None if this fails too."""
    try:
        return _load_choices(options, (), skip_missing=True)
    except Exception:
        return None


def _load_choices(options: Options, choices: Sequence[Override], *, skip_missing: bool = False) -> Chosen:
    found = options.defaults_list(choices, skip_missing=skip_missing)
    every = [each for each in found.defaults if each.config_path is not None]
    files = [each for each in every if not _is_hydras(each)]
    groups = {group: option for group, option in found.overrides.known_choices.items() if not group.startswith("hydra/")}
    return Chosen(files, groups, tuple(str(each.config_path) for each in every if _is_hydras(each)))


def _is_hydras(default: ResultDefault) -> bool:
    return str(default.config_path).startswith("hydra/")


# ------------------------------------------------------------------------------------------------------ wrong choices


def _drop_invalid_files(options: Options, overrides: Overrides) -> Iterator[Violation]:
    """Remove the choices of files that are not mappings; yield their violations."""
    for override in [*overrides.choices]:
        file = user_file(options.repository, name_of(override))
        rule = explain_no_option(Path(file)) if file is not None else ""
        if rule:
            overrides.choices.remove(override)
            key, value = override.get_key_element(), override.get_value_element_as_str()
            yield Violation(key, value, rule, command_line(override.input_line))


def name_of(choice: Override) -> str:
    """Return the config that a choice names, relative to the search path: ``model/large``."""
    option = choice.value()
    return f"{choice.key_or_group}/{option if isinstance(option, str) else choice.get_value_element_as_str()}"


def _keep_valid_choices(options: Options, overrides: Overrides, error: Exception) -> list[Override]:
    """Try each choice separately; return those that load, and add violations for the others."""
    right, known = [], len(overrides.violations) + len(overrides.values)
    for override in overrides.choices:
        try:
            _load_choices(options, [override])
        except Exception as each:
            if (
                override.is_hydra_override()
                or override.package is not None
                or override.key_or_group in options.default_choices()
            ):
                list_violations = _check_defaults_of_option(options, override, each)
                overrides.violations += list_violations or [_choice_violation(override, each)]
                if list_violations or isinstance(each, MissingConfigException):
                    overrides.incomplete.append(override)
            elif "/" in override.key_or_group:
                key, value = override.get_key_element(), override.get_value_element_as_str()
                rule, remedy = "is a group that is in no defaults list; add it with a plus", {f"+{key}": value}
                overrides.violations.append(Violation(key, value, rule, command_line(override.input_line), remedy))
            else:  # a folder, but not a group of this config
                overrides.values.append(override)
        else:
            right.append(override)
    if known == len(overrides.violations) + len(overrides.values):  # each choice loads separately
        overrides.violations.append(file_violation(error))
    return right


def _check_defaults_of_option(options: Options, override: Override, error: Exception) -> list[Violation]:
    """Return the violations in the defaults list of an option's file, if Hydra's error is about that list."""
    is_about_list = isinstance(error, (ConfigCompositionException, ValueError, RecursionError))  # ValueError: in Hydra 1.3
    name = name_of(override)
    return [*_check_entries(options, name, name.rpartition("/")[0], set())] if is_about_list else []


def _check_entries(options: Options, name: str, group: str, seen: set[str]) -> Iterator[Violation]:
    """Yield the violations in the defaults list of a config; if there are none, in those that it includes."""
    file = None if name in seen else user_file(options.repository, name)
    if file is None:
        return
    seen.add(name)
    found = check_entries(Path(file), group, options)
    yield from found
    for entry in () if found else defaults_entries(Path(file), group):
        for each in entry.files():
            yield from _check_entries(options, each, each.rpartition("/")[0], seen)


def _choice_violation(override: Override, error: Exception) -> Violation:
    """Return the violation of a choice that does not load: about its file if that is invalid."""
    key, value, typed = override.get_key_element(), override.get_value_element_as_str(), command_line(override.input_line)
    violation = file_violation(error, name_of(override))
    itself = isinstance(error, MissingConfigException) and error.missing_cfg_file == name_of(override)
    of_file = (MissingConfigException, yaml.YAMLError, GrammarParseError, UnsupportedValueType)
    if itself or not isinstance(error, of_file):
        return dataclasses.replace(violation, key=key, value=value, source=typed)
    return dataclasses.replace(violation, source=typed, action="chose")


def _check_primary(options: Options, error: Exception) -> list[Violation]:
    """Return the violation of a missing primary config, or the violations in its defaults list."""
    name = options.config_name
    if not isinstance(error, (ConfigCompositionException, ValueError, RecursionError)):  # ValueError: in Hydra 1.3
        return []
    if getattr(error, "missing_cfg_file", None) != name:
        return [*_check_entries(options, name, "", set())]
    folders = [Path(source.path) for source in options.repository.get_sources() if source.scheme() == "file"]
    known = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
    rule = f"there is no such config; known: {', '.join(known)}{did_you_mean(name, known)}"
    return [Violation("the primary config", name, rule)]


# ------------------------------------------------------------------------------------------------------- odd files


def explain_no_option(file: Path) -> str:
    """Return why a file cannot be an option: it is a list or a text.

    Empty if it is a mapping or has no content.
    """
    try:
        root = root_node(str(file))
    except (OSError, yaml.YAMLError):
        return ""  # Hydra reports the error
    if isinstance(root, yaml.SequenceNode):
        return f"is a list; {display_path(str(file))} must have lines of key: value"
    if isinstance(root, yaml.ScalarNode) and root.value:
        return f"is one text; {display_path(str(file))} must have lines of key: value"
    return ""
