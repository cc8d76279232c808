"""Groups and their options, as Hydra finds them on its search path, ``hydra.searchpath`` included."""

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
    open_repository,
    options_of,
)
from gpt2hydra.config.errors import ABSENT, Violation, command_line
from gpt2hydra.config.keys import field_at
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.quoting import RawOverride


class Options:
    """The groups of one primary config. Each file is read once while this lives."""

    def __init__(self, loader: ConfigLoader, config_name: str, searchpath: Iterable[Override] = ()) -> None:
        self.loader, self.config_name, self.searchpath = loader, config_name, tuple(searchpath)
        self.instead: tuple[Override, ...] = ()
        """Options of Hydra's own groups, in place of those that no installed plugin brings."""
        self._repository: Repository | None = None
        self._usual: dict[str, str | None] | None = None
        self._groups: dict[str, bool] = {}
        self._options: dict[str, list[str]] = {}

    @property
    def repository(self) -> Repository:
        """The YAML files and schemas to compose from."""
        if self._repository is None:
            try:
                self._repository = open_repository(self.loader, self.config_name, self.searchpath)
            except Exception:  # a primary config that cannot be read: composing says why
                self._repository = self.loader.repository
        return self._repository

    def is_group(self, key: str) -> bool:
        """Whether ``key`` names a config group (a folder) rather than a value."""
        if key not in self._groups:
            self._groups[key] = any(source.is_group(key) for source in self.repository.get_sources())
        return self._groups[key]

    def of(self, group: str) -> list[str]:
        """The options of a group, in whatever folder they are."""
        if group not in self._options:
            self._options[group] = options_of(self.repository, group)
        return self._options[group]

    def has(self, group: str, option: object) -> bool:
        """Whether a group has an option, which may be in a folder of its own: ``large``, ``old/large``."""
        return self.repository.config_exists(f"{group}/{option}")

    def defaults_list(self, choices: Sequence[Override] = (), *, skip_missing: bool = False) -> DefaultsList:
        """The configs that the choices bring, in order; with Hydra's own, which are slow, only if needed."""
        chosen = {each.key_or_group for each in choices}
        choices = [*(each for each in self.instead if each.key_or_group not in chosen), *choices]
        ask = partial(defaults_list, self.repository, self.config_name, choices, skip_missing=skip_missing)
        if not any(each.is_hydra_override() for each in choices):
            with suppress(Exception):  # 'override hydra/launcher: joblib', or a list that is wrong
                return ask(prepend_hydra=False)
        return ask(prepend_hydra=True)

    def usual(self) -> dict[str, str | None]:
        """Group → option, as the defaults list has it; nothing where it cannot be read."""
        if self._usual is None:
            self._usual = {}
            with suppress(Exception):
                self._usual = self.defaults_list().overrides.known_choices
        return self._usual

    def groups(self) -> list[str]:
        """The groups of the defaults list, but for Hydra's own."""
        return [group for group in self.usual() if not group.startswith("hydra/")]

    def remedy(self, group: str) -> dict[str, object]:
        """A remedy that chooses what the defaults list does, if it chooses any."""
        choice = self.usual().get(group)
        return {group: choice} if choice else {}

    def unclear(self, overrides: Iterable[Override], config_class: type[Checked]) -> list[Violation]:
        """What leaves a section of ``config_class`` without the one option that it is to have of its group.

        Hydra lets ``~tokenizer`` fall back to the schema's defaults, and ``model=[small,large]`` lay one over
        the other.
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
                rule = f"{rule}; a sweep tries several"
                violations.append(Violation(key, f"[{several}]", rule, typed, {key: several}, multirun=True))
        return violations
