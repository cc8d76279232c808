"""Find groups and their options on Hydra's search path, ``hydra.searchpath`` included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial

from hydra.core.override_parser.types import Override

from gpt2hydra.composition.hydra_loader import (
    ConfigLoader,
    DefaultsList,
    Repository,
    defaults_list,
    group_options,
    open_repository,
)
from gpt2hydra.config.errors import ABSENT, Violation, command_line
from gpt2hydra.config.keys import field_at
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.quoting import RawOverride


class Options:
    """The groups and options of one primary config. Each instance reads each file only once."""

    def __init__(self, loader: ConfigLoader, config_name: str, searchpath: Iterable[Override] = ()) -> None:
        self.loader, self.config_name, self.searchpath = loader, config_name, tuple(searchpath)
        self.replacements: tuple[Override, ...] = ()
        """Choices that replace options of Hydra's own groups whose plugins are not installed."""
        self._repository: Repository | None = None
        self._default_choices: dict[str, str | None] | None = None
        self._groups: dict[str, bool] = {}
        self._options: dict[str, list[str]] = {}

    @property
    def repository(self) -> Repository:
        """The YAML files and schemas to compose."""
        if self._repository is None:
            try:
                self._repository = open_repository(self.loader, self.config_name, self.searchpath)
            except Exception:  # a primary config that cannot be read: composing reports it
                self._repository = self.loader.repository
        return self._repository

    def is_group(self, key: str) -> bool:
        """Return whether ``key`` is a config group (a folder), not a value."""
        if key not in self._groups:
            self._groups[key] = any(source.is_group(key) for source in self.repository.get_sources())
        return self._groups[key]

    def of(self, group: str) -> list[str]:
        """Return the options of a group, in all folders."""
        if group not in self._options:
            self._options[group] = group_options(self.repository, group)
        return self._options[group]

    def has(self, group: str, option: object) -> bool:
        """Return whether a group has a config ``option``, maybe in a subfolder: ``large``, ``old/large``."""
        return self.repository.config_exists(f"{group}/{option}")

    def defaults_list(self, choices: Sequence[Override] = (), *, skip_missing: bool = False) -> DefaultsList:
        """Return the configs of the defaults list with these choices, in order."""
        chosen = {each.key_or_group for each in choices}
        choices = [*(each for each in self.replacements if each.key_or_group not in chosen), *choices]
        ask = partial(defaults_list, self.repository, self.config_name, choices, skip_missing=skip_missing)
        if not any(each.is_hydra_override() for each in choices):
            with suppress(Exception):  # 'override hydra/launcher: joblib', or an invalid list
                return ask(prepend_hydra=False)
        return ask(prepend_hydra=True)

    def default_choices(self) -> dict[str, str | None]:
        """Return group → default option; empty if the list is unreadable.

        Hydra's own groups are included only if the list overrides one of them.
        """
        if self._default_choices is None:
            self._default_choices = {}
            with suppress(Exception):
                self._default_choices = self.defaults_list().overrides.known_choices
        return self._default_choices

    def groups(self) -> list[str]:
        """Return the groups of the defaults list, except Hydra's own."""
        return [group for group in self.default_choices() if not group.startswith("hydra/")]

    def remedy(self, group: str) -> dict[str, object]:
        """Return a remedy that chooses the default option of a group, if there is one."""
        choice = self.default_choices().get(group)
        return {group: choice} if choice else {}

    def check_choices(self, overrides: Iterable[Override], config_class: type[Checked]) -> list[Violation]:
        """Return violations of choices that leave a section of ``config_class`` without exactly one option.

        Hydra accepts ``~tokenizer`` (only the schema's defaults) and ``model=[small,large]`` (both merged).
        """
        violations = []
        for override in overrides:
            if not (override.is_delete() or isinstance(override.value(), list)):
                continue
            key, typed = override.get_key_element().lstrip("+~"), command_line(override.input_line)
            field = field_at(config_class, override.package or key)
            if field is None or "section" not in field.metadata or not self.is_group(override.key_or_group):
                continue
            rule = f"must be one of {', '.join(self.of(override.key_or_group))}"
            if override.is_delete():
                violations.append(Violation(key, ABSENT, rule, typed, self.remedy(key), action="deleted"))
            else:
                several = RawOverride(",".join(map(str, override.value())))  # type: ignore[arg-type]  # a list
                rule = f"{rule}; use a sweep for several"
                violations.append(Violation(key, f"[{several}]", rule, typed, {key: several}, multirun=True))
        return violations
