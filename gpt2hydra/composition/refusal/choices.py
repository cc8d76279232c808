"""The defaults list: which files the chosen options bring, and which options or files bring none."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf.errors import GrammarParseError, UnsupportedValueType
from yaml import YAMLError

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.conf_file import wrong_entries
from gpt2hydra.composition.conf_tree import Primary
from gpt2hydra.composition.hydra_compat import Repository
from gpt2hydra.composition.hydra_errors import file_error
from gpt2hydra.composition.refusal.odd_files import HEADER, file_of, why_no_option, why_not_global
from gpt2hydra.composition.refusal.overrides import Overrides
from gpt2hydra.composition.schema import ROOTS
from gpt2hydra.composition.sources import displayed
from gpt2hydra.config.errors import ABSENT, Violation, command_line
from gpt2hydra.config.keys import field_at
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.formatting import did_you_mean


def files_of(composer: Composer, repository: Repository, overrides: Overrides) -> list[ResultDefault] | None:
    """The files of the defaults list with the choices that work, or None where the list itself cannot be read.

    Violations of the others are added to ``overrides``, and to its values what names a folder that is no group here.
    """
    overrides.violations += _odd_choices(repository, overrides)
    error = None
    for choices in ([*overrides.choices], []):
        for prepend_hydra in (False, True):
            try:
                found = composer.defaults(repository, choices, prepend_hydra=prepend_hydra).defaults
            except Exception as each:
                error = each if prepend_hydra else error  # without Hydra's own groups, 'override hydra/...' fails too
                continue
            if error is not None:
                _blame_choices(composer, repository, overrides, error)
            return [each for each in found if not _is_hydras(each)]
    assert error is not None  # both tries failed: it is not the command line
    overrides.violations += _no_primary(composer, repository, error) or [file_error(error, composer.config_name)]
    return None


def _no_primary(composer: Composer, repository: Repository, error: Exception) -> list[Violation]:
    """The violation of a primary config that is not there, or those of the lines in its defaults list that name nothing."""
    name, file = composer.config_name, file_of(repository, composer.config_name)
    if not isinstance(error, (ConfigCompositionException, ValueError)):  # Hydra 1.3 raises this for what is no list
        return []
    if getattr(error, "missing_cfg_file", None) != name:
        return wrong_entries(file, "", Primary(name, composer.config_class, composer)) if file is not None else []
    folders = [Path(source.path) for source in repository.get_sources() if source.scheme() == "file"]
    known = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
    rule = f"there is no such config; known: {', '.join(known)}{did_you_mean(name, known)}"
    return [Violation("the primary config", name, rule)]


def self_before_schema(composer: Composer, repository: Repository, files: list[ResultDefault]) -> Violation | None:
    """The violation of a primary config, or of a choice in its defaults list, before the schema that then overwrites it."""
    names = [str(each.config_path) for each in files]
    schema = next((name for name in names if name in ROOTS), None)
    early = files[: names.index(schema)] if schema is not None else []
    if composer.config_name in names[: len(early)]:
        rule = f"_self_ must stand after {schema} in its defaults list"
    elif schema is not None and any(field_at(ROOTS[schema], str(each.package)) for each in early):
        rule = f"{schema} must stand first in its defaults list"
    else:
        return None
    file = file_of(repository, composer.config_name)
    return Violation(composer.config_name if file is None else displayed(str(file)), rule=rule)


def _odd_choices(repository: Repository, overrides: Overrides) -> Iterator[Violation]:
    """The choices of files that hold no option; they are left out."""
    for override in [*overrides.choices]:
        file = file_of(repository, f"{override.key_or_group}/{override.get_value_element_as_str()}")
        rule = why_no_option(file) if file is not None else ""
        if rule:
            overrides.choices.remove(override)
            key, value = override.get_key_element(), override.get_value_element_as_str()
            yield Violation(key, value, rule, command_line(override.input_line))


def _blame_choices(composer: Composer, repository: Repository, overrides: Overrides, error: Exception) -> None:
    for override in overrides.choices:
        try:
            composer.defaults(repository, [override], prepend_hydra=True)
        except Exception as each:
            error = each
            if override.is_hydra_override() or override.key_or_group in composer.options.usual():
                overrides.violations.append(_blame(override, each))
            else:  # a folder, but no group of this config
                overrides.values.append(override)
    if not overrides.violations and not overrides.values:
        overrides.violations.append(file_error(error))


def _blame(override: Override, error: Exception) -> Violation:
    """The violation of a choice that does not load: of the file that is wrong, where it is not the choice itself."""
    key, value, typed = override.get_key_element(), override.get_value_element_as_str(), command_line(override.input_line)
    violation = file_error(error, f"{override.key_or_group}/{value}")
    itself = isinstance(error, MissingConfigException) and error.missing_cfg_file == f"{override.key_or_group}/{value}"
    if itself or not isinstance(error, (MissingConfigException, YAMLError, GrammarParseError, UnsupportedValueType)):
        return dataclasses.replace(violation, key=key, value=value, source=typed)
    return dataclasses.replace(violation, source=typed, action="chose")


def _is_hydras(default: ResultDefault) -> bool:
    return str(default.config_path).startswith("hydra/") or str(default.package).split(".")[0] == "hydra"


def as_choice(violation: Violation, composer: Composer) -> Violation:
    """The violation of a section that has no value since no option was chosen, in the words of a choice; others as they are."""
    options = composer.options.of(violation.key)
    if not options:
        return violation
    rule, remedy = f"must be one of {', '.join(options)}", composer.options.remedy(violation.key)
    return dataclasses.replace(violation, rule=rule, remedy=remedy)


def with_unpackaged_once(
    violations: Iterable[Violation], composer: Composer, root: type[Checked], choices: list[Override]
) -> Iterator[Violation]:
    """The same, but one for each file of a group without a section (``experiment``) that does not say where it belongs."""
    groups, told = composer.options.groups(), set()
    for violation in violations:
        group = violation.key.partition(".")[0]
        misplaced = violation.key == group and isinstance(violation.value, str)  # 'experiment: x' is told as what it is
        if group not in groups or field_at(root, group) is not None or violation.is_typed or misplaced:
            yield violation
        elif group not in told:
            told.add(group)
            chosen = next((each.input_line for each in choices if each.key_or_group == group), None)
            option = chosen.partition("=")[2] if chosen else composer.options.usual()[group]
            file = file_of(composer.loader.repository, f"{group}/{option}")
            rule = why_not_global(file) if file is not None else f"must begin with the line {HEADER}"
            yield Violation(group, option or ABSENT, rule, command_line(chosen) if chosen else None)
