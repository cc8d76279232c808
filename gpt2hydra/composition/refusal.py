"""What is wrong with a configuration that was refused: everything at once, each with who set it and what to type instead.

Hydra stops at its first error. This takes the composition apart (parse, choose options, merge file by file, apply override by
override), leaves out what fails, and goes on to the gate with the rest. It runs only once something was refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.conf import HydraConf
from hydra.core.default_element import ResultDefault
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import MissingConfigException
from omegaconf import DictConfig, OmegaConf, open_dict
from yaml import YAMLError

from gpt2hydra.composition.composer import Composer, as_job, hydra_state, parse
from gpt2hydra.composition.hydra_errors import as_it_came, file_error, first_line, grammar, no_override
from gpt2hydra.composition.hydra_internals import Repository, apply_override, load_default
from gpt2hydra.composition.provenance import Provenance, replay
from gpt2hydra.composition.schema import CANNOT_BE_DELETED, config_class_of, examine, in_order
from gpt2hydra.composition.sources import layers_of
from gpt2hydra.composition.yaml_traps import misread
from gpt2hydra.config.checked import Checked
from gpt2hydra.config.errors import ABSENT, DELETED, Blank, ConfigError, Source, Typed, Violation, command_line
from gpt2hydra.config.fields import Rule
from gpt2hydra.config.keys import field_at, fields_of
from gpt2hydra.config.unknown_keys import unknown_below
from gpt2hydra.config.words import closest, show


def explain_refusal(composer: Composer, overrides: Sequence[str], error: Exception) -> ConfigError:
    """Everything that is wrong with ``overrides`` over the composer's config, of which ``error`` is the first sign."""
    with hydra_state():
        try:
            violations = _Diagnosis(composer, overrides).violations()
        except Exception as obstacle:  # a primary config that cannot be read, and what else lets nothing compose
            violations = [file_error(obstacle, composer.config_name)]
    more = error.violations if isinstance(error, ConfigError) and error.violations[0].key.startswith("hydra.") else ()
    return ConfigError([*violations, *more] or [as_it_came(error)])


class _Diagnosis:
    def __init__(self, composer: Composer, overrides: Sequence[str]) -> None:
        self.composer = composer
        self.found: list[Violation] = []
        self.root: type[Checked] | None = None
        self.values: list[Override] = []
        self.choices: list[Override] = []
        self.hydra: list[Override] = []
        for text in overrides:
            self._sort(text)

    def violations(self) -> list[Violation]:
        for override in self.hydra:
            self._try_hydras(override)
        defaults, repository = self._defaults()
        if defaults is None:
            return self.found
        config = self._merge(defaults, repository)
        self.root = self.root or config_class_of(config)
        self.found += self.composer.unclear_choices(self.choices, self.root)
        unclear = {violation.key for violation in self.found}
        for override in self.values:
            if override.key_or_group.partition(".")[0] not in unclear:
                self._apply(config, override)
        self._let_hydra_resolve(config)
        distrusted = frozenset(violation.key for violation in self.found)
        _, broken = examine(config, self.root, distrusted)
        provenance = replay(defaults, repository, self.values)
        seen = {violation.key: violation for violation in [*broken, *misread(provenance, self.root)]}
        known = {violation.key for violation in self.found}
        found = [*self.found, *(each for key, each in seen.items() if key not in known)]
        found = [self._unchosen(each) if each.value is ABSENT else each for each in found]
        return in_order(self.root, [_traced(each, provenance, self.root) for each in self._unpackaged(found)])

    def _let_hydra_resolve(self, config: DictConfig) -> None:
        """Where a value refers to ``${hydra:...}``, and no job runs that it could be read from, make one up."""
        if "${hydra:" in str(OmegaConf.to_container(config, resolve=False)) and not HydraConfig.initialized():
            with contextlib.suppress(Exception):  # the reference is then reported
                as_job(self.composer.full(self.composer.hydra_overrides), 0)

    def _unpackaged(self, violations: list[Violation]) -> Iterator[Violation]:
        """The same, but one for a file of a group without a section (``experiment``) that does not say where it belongs."""
        told = set()
        for violation in violations:
            group = violation.key.partition(".")[0]
            belongs = self.root is None or field_at(self.root, group) is not None or _is_typed(violation)
            if belongs or group not in self._groups():
                yield violation
            elif group not in told:
                told.add(group)
                chosen = next((each.input_line for each in self.choices if each.key_or_group == group), None)
                rule = "names a file that is empty, or lacks its first line: # @package _global_"
                yield Violation(group, rule=rule, source=command_line(chosen) if chosen else None)

    def _unchosen(self, violation: Violation) -> Violation:
        """The violation of a section that has no value since no option was chosen, in the words of a choice."""
        options = self.composer.loader.get_group_options(violation.key)
        if not options:
            return violation
        rule, remedy = f"must be one of {', '.join(options)}", self.composer.usual_choice(violation.key)
        return dataclasses.replace(violation, rule=rule, remedy=remedy)

    def _try_hydras(self, override: Override) -> None:
        """Report an override of Hydra's own config that Hydra refuses."""
        line = override.input_line or ""
        plugins = [each.input_line or "" for each in self.choices if each.key_or_group.startswith("hydra/")]
        try:
            self.composer.full([*plugins, line], lawful=False)
        except Exception as error:
            key, value = override.get_key_element(), override.get_value_element_as_str()
            known = self.composer.full(plugins).hydra
            *sections, last = key.lstrip("+~").split(".")[1:] or [""]
            for section in sections:
                known = known.get(section) if isinstance(known, DictConfig) and section in known else {}
            unknown = isinstance(known, DictConfig) and last not in known
            near = closest(last, map(str, known)) if unknown else None
            meant = ".".join(["hydra", *sections, near or ""])
            rule = f"unknown key of Hydra's own config{f'; did you mean {meant}?' if near else ''}"
            rule = rule if unknown else f"is refused by Hydra: {first_line(error.__cause__ or error).rstrip('.')}"
            self.found.append(Violation(key, value, rule, command_line(line), {meant: Typed(value)} if near else {}))

    # ---------------------------------------------------------------------------------------------- the command line

    def _sort(self, text: str) -> None:
        """Parse one override and put it where it belongs."""
        key, equals, value = text.partition("=")
        key = key.lstrip("+~").strip()
        if not key or (not equals and not text.startswith("~")):
            self.found.append(no_override(text))
            return
        try:
            override = parse(text)
            override.value()
        except Exception as error:  # Hydra's grammar raises its own, and Python's where a number has 5,000 digits
            reason = "has too many digits" if isinstance(error, ValueError) and "digits" in str(error) else grammar(error, key)
            self.found.append(Violation(key, value, reason, command_line(show(text))))
            return
        if override.is_sweep_override():
            self.found.append(self._sweep(override, key, value))
        elif self.composer.is_group(override.key_or_group) and not isinstance(override.value(), dict):
            self._sort_choice(override, key, value)
        elif override.is_hydra_override():
            self.hydra.append(override)
        else:
            self.values.append(override)

    def _sweep(self, override: Override, key: str, value: str) -> Violation:
        """The violation of an override with several values, where no sweep was asked for."""
        typed = command_line(override.input_line)
        if override.is_hydra_override():
            return Violation(key, value, "is a list of values: Hydra's own config cannot be swept over", typed)
        if re.fullmatch(r"\d{1,3}(,\d{3})+", value):
            rule = "is a list of values for Hydra; a number has no commas"
            return Violation(key, value, rule, typed, {key: int(value.replace(",", ""))})
        rule = "is a list of values to sweep over, which needs -m (--multirun)"
        return Violation(key, value, rule, typed, {override.get_key_element(): Typed(value)}, multirun=True)

    def _sort_choice(self, override: Override, key: str, value: str) -> None:
        chosen, typed = override.value(), command_line(override.input_line)
        options = self.composer.loader.get_group_options(override.key_or_group)
        names = [chosen] if isinstance(chosen, str) else chosen if isinstance(chosen, list) else []
        wrong = [name for name in names if name not in options and "/" not in str(name)]
        if wrong or (not names and not override.is_delete()):
            near = closest(str(chosen), options)
            rule = f"must be one of {', '.join(options)}"
            self.found.append(Violation(key, value, rule, typed, {key: near} if near else self.composer.usual_choice(key)))
        elif override.is_add() and override.package is None and key in self.composer.usual_choices():
            self.found.append(Violation(key, value, "is chosen already; leave out the plus", typed, {key: Typed(value)}))
            self.choices.append(dataclasses.replace(override, type=OverrideType.CHANGE))
        else:
            self.choices.append(override)

    # ------------------------------------------------------------------------------------------------- group options

    def _defaults(self) -> tuple[list[ResultDefault] | None, Repository]:
        """The defaults list with the choices that work; what does not is reported and left out."""
        repository = self.composer.repository()
        error = None
        for choices in ([*self.choices], []):
            for prepend_hydra in (False, True):
                try:
                    found = self.composer.defaults(repository, choices, prepend_hydra=prepend_hydra).defaults
                    if error is not None:
                        self._blame_choices(repository, error)
                    return [each for each in found if not _is_hydras(each)], repository
                except Exception as each:
                    error = each if prepend_hydra else error  # without Hydra's own groups, 'override hydra/...' fails too
        assert error is not None  # both tries failed: it is not the command line
        self.found.append(file_error(error))
        return None, repository

    def _blame_choices(self, repository: Repository, error: Exception) -> None:
        for override in self.choices:
            try:
                self.composer.defaults(repository, [override], prepend_hydra=True)
            except Exception as each:
                error = each
                if override.key_or_group not in self.composer.usual_choices():  # a folder, but no group of this config
                    self.values.append(override)
                    continue
                self.found.append(self._blame(override, each))
        if not self.found and not self.values:
            self.found.append(file_error(error))

    def _blame(self, override: Override, error: Exception) -> Violation:
        """The violation of a choice that does not load: of the file that is wrong, where it is not the choice itself."""
        key, value, typed = override.get_key_element(), override.get_value_element_as_str(), command_line(override.input_line)
        violation = file_error(error, f"{override.key_or_group}/{value}")
        itself = isinstance(error, MissingConfigException) and error.missing_cfg_file == f"{override.key_or_group}/{value}"
        if itself or not isinstance(error, (MissingConfigException, YAMLError, UnicodeDecodeError)):
            return dataclasses.replace(violation, key=key, value=value, source=typed)
        return dataclasses.replace(violation, source=typed, action="chose")

    # ----------------------------------------------------------------------------------------------------- the files

    def _merge(self, defaults: list[ResultDefault], repository: Repository) -> DictConfig:
        config = OmegaConf.create({})
        for default in defaults:
            loaded = load_default(self.composer.loader, default, repository)
            if "hydra" in loaded:
                self.found += self._hydras(OmegaConf.to_container(loaded, resolve=False)["hydra"], default, repository)  # type: ignore[call-overload, index]
                with open_dict(loaded):
                    del loaded["hydra"]
            try:
                config.merge_with(loaded)
            except Exception:
                self.root = self.root or config_class_of(config)
                raw: Any = OmegaConf.to_container(loaded, resolve=False)
                self._merge_by_key(config, raw, default, repository)
        OmegaConf.set_struct(config, True)
        return config

    def _merge_by_key(self, config: DictConfig, raw: dict[Any, Any], default: ResultDefault, repository: Repository) -> None:
        """Merge what can be of a file, and report what cannot."""
        dotted = [key for key in raw if isinstance(key, str) and "." in key]
        for key in dotted:
            head, _, rest = key.partition(".")
            rule = f"must be nested in YAML: {head}: {{{rest}: {show(raw[key])}}}"
            line = self._line(default, repository, key)
            self.found.append(Violation(key, raw[key], rule, line, {key: raw[key]}))
        for key, value in _leaves({key: raw[key] for key in raw if key not in dotted}):
            if not self._set(config, key, value):
                self.found.append(self._cannot_be(key, value))

    def _hydras(self, written: Any, default: ResultDefault, repository: Repository) -> Iterator[Violation]:
        """What a file says under ``hydra:`` that Hydra does not know."""
        known = OmegaConf.structured(HydraConf)
        if not isinstance(written, Mapping):
            yield Violation("hydra", written, "is Hydra's own section; set its keys", self._line(default, repository, "hydra"))
            return
        for key, value in _leaves(written):
            try:
                known.merge_with(_nested(key, value))
            except Exception as error:
                rule = f"is refused by Hydra: {first_line(error)}"
                yield Violation(f"hydra.{key}", value, rule, self._line(default, repository, *["hydra", *key.split(".")]))

    def _line(self, default: ResultDefault, repository: Repository, *path: str) -> Source | None:
        """File and line of a key."""
        layer = next(iter(layers_of(repository, str(default.config_path))), None)
        for key in path:
            layer = layer.value.get(key, layer) if layer is not None and isinstance(layer.value, dict) else layer
        return layer.source if layer is not None else None

    def _set(self, config: DictConfig, key: str, value: Any) -> bool:
        """Set one value as a merge would; whether that could be."""
        try:
            config.merge_with(_nested(key, value))
        except Exception:
            return False
        return True

    def _apply(self, config: DictConfig, override: Override) -> None:
        """Apply one override, a mapping key by key, and report what cannot be."""
        assert self.root is not None
        key, value = override.key_or_group, override.value()
        field = field_at(self.root, key)
        if isinstance(value, Mapping) and not value and (field is None or "section" not in field.metadata):
            self.found.append(self._cannot_be(key, value, override))
            return
        if override.is_delete() or not isinstance(value, Mapping):
            if self._must_not(key, override):
                self.found.append(self._cannot_be(key, value, override))
                return
            try:
                apply_override(override, config)
            except Exception:
                self.found.append(self._cannot_be(key, value, override))
            return
        for each, part in _leaves(value, f"{key}."):
            known = field_at(self.root, each) is not None
            if not known or not self._set(config, each, part):
                self.found.append(self._cannot_be(each, part, override))

    def _must_not(self, key: str, override: Override) -> bool:
        """Whether Hydra would let an override pass that has no meaning here."""
        assert self.root is not None
        field = field_at(self.root, key)
        if field is None or override.is_delete():
            return True
        return override.is_add() and "computed" in field.metadata

    def _cannot_be(self, key: str, value: Any, override: Override | None = None) -> Violation:
        assert self.root is not None
        source = command_line(override.input_line) if override else None
        field = field_at(self.root, key)
        if override is not None and override.is_delete():
            rule = CANNOT_BE_DELETED if field is not None else "cannot be deleted: there is no such key"
            return Violation(key, rule=rule, source=source)
        if field is None:
            return dataclasses.replace(unknown_below(self.root, key, value, self._groups()), source=source)
        if "computed" in field.metadata:
            return Violation(key, value, f"is computed ({field.metadata['doc']}); it cannot be set", source)
        if "section" in field.metadata:
            rule = f"is a section; set its keys, for example {key}.{fields_of(field.metadata['section'])[0].name}"
            return Violation(key, value, rule, source)
        obeyed: Rule = field.metadata["rule"]
        problem, nearest = obeyed.problem(value), obeyed.remedy(value)
        remedy: dict[str, object] = {} if nearest is ABSENT or obeyed.problem(nearest) else {key: nearest}
        if override is not None and override.is_add() and not isinstance(override.value(), Mapping):
            rule = "exists already; leave out the plus"
            if problem:
                return Violation(key, value, f"{problem}; it {rule}", source, remedy)
            return Violation(key, value, rule, source, {key: Typed(override.get_value_element_as_str())})
        return Violation(key, value, problem or f"must be {obeyed}", source, remedy)

    def _groups(self) -> list[str]:
        return [group for group in self.composer.usual_choices() if not group.startswith("hydra/")]


def _is_typed(violation: Violation) -> bool:
    return violation.source is not None and violation.source.kind == "command line"


def _traced(violation: Violation, provenance: Provenance, root: type[Checked]) -> Violation:
    """The violation with who set its key and the others, and, where it has no better remedy, the value that was replaced."""
    field, setting = field_at(root, violation.key), provenance.setting(violation.key)
    computed = field is not None and "computed" in field.metadata
    told = provenance.blame(violation)
    if computed:
        return dataclasses.replace(told, replaced=None)
    if _is_typed(violation) and setting is not None and setting.source == violation.source and setting.value is not DELETED:
        told = dataclasses.replace(told, replaced=provenance.replaced(setting.key))
    remedy = violation.remedy
    blank = any(isinstance(value, Blank) for value in remedy.values())
    if blank if violation.value is ABSENT else not remedy:
        remedy = _as_before(violation.key, field, provenance) or remedy
    others = {key: provenance.source(key) for key in violation.others}
    return dataclasses.replace(told, remedy=remedy, others=others)


def _as_before(key: str, field: dataclasses.Field[Any] | None, provenance: Provenance) -> dict[str, object]:
    """The newest earlier value that obeys the rule, the schema's default at the last; or nothing."""
    if field is None or "rule" not in field.metadata:
        return {}
    earlier = [setting.value for setting in reversed(provenance.settings.get(key, ())[:-1])]
    obeying = (value for value in (*earlier, field.default) if field.metadata["rule"].problem(value) is None)
    return next(({key: value} for value in obeying), {})


def _is_hydras(default: ResultDefault) -> bool:
    return str(default.config_path).startswith("hydra/") or str(default.package).split(".")[0] == "hydra"


def _leaves(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _nested(key: str, value: Any) -> dict[str, Any]:
    head, _, rest = key.partition(".")
    return {head: _nested(rest, value) if rest else value}
