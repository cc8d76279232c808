"""Check one primary config of a tree, with each option of its groups; each is composed as in a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpt2hydra.composition.compose import refusal
from gpt2hydra.composition.conf_file import (
    check_entries,
    defaults_entries,
    is_readable,
    layer_despite_repeated_keys,
    package_of,
)
from gpt2hydra.composition.conf_tree import ConfTree, Primary
from gpt2hydra.composition.files import FoldedFiles
from gpt2hydra.composition.fold import Fold, split_key
from gpt2hydra.composition.hydra_errors import unknown_error_violation
from gpt2hydra.composition.hydra_state import hydra_state
from gpt2hydra.composition.layers import display_path
from gpt2hydra.composition.merge_check import SchemaCheck, check_mergeable
from gpt2hydra.composition.report import Report
from gpt2hydra.composition.untyped import OpenReferences, misread_numbers
from gpt2hydra.config.errors import ABSENT, ConfigError, Source, Violation
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.keys import field_at, rule_at
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.quoting import format_override


@dataclass
class PrimaryCheck:
    """Checks one primary config; adds violations to ``report``, and files that it can include to ``reached``."""

    tree: ConfTree
    primary: Primary
    report: Report
    reached: set[Path]
    followed: set[tuple[Path, str]] = field(default_factory=set)
    """Files whose defaults lists were followed, with the group of each."""
    baseline: set[tuple[str, Source | None]] = field(default_factory=set)
    """Violations of the primary config without any choice: key and source."""
    composed: list[Any] = field(default_factory=list)
    """Settings of Hydra's own config that Hydra composed without an error already."""
    references: OpenReferences = field(default_factory=OpenReferences)

    @property
    def file(self) -> Path:
        """The file of the primary config."""
        return self.tree.folder / f"{self.primary.name}.yaml"

    @property
    def knows_its_groups(self) -> bool:
        """Whether its defaults list can be read, so that ``groups`` is complete."""
        groups, options = self.primary.groups, self.primary.composer.options
        return is_readable(self.file) and (bool(groups) or not check_entries(self.file, "", options))

    def run(self) -> None:
        """Check the config without choices, and then each option."""
        self._mark_reached(self.file, "")
        if not is_readable(self.file):
            self._check_all_values()
            return
        found = self._violations([])
        self.baseline = {(each.key, each.source) for each in found}
        if self.primary.root is None and not self.baseline:
            self.report.notes.append(f"{display_path(str(self.file))} lists no schema, so its values are not checked")
        self._add(found, self.file, "", [])
        if self.baseline and not self.primary.groups:  # a file that it includes cannot be read
            self._check_all_values()
        if self.primary.plugin_replacements:
            self._add_wrong_entries(self.file, "")
        for group in self.primary.groups:
            for option in self.primary.options(group):
                if not self._is_ours(group, option):
                    self.check_option(group, option)

    def finish(self) -> None:
        """Report references to missing keys, except to keys of options of groups without a default option."""
        for violation, file, found_with in self.references.unresolved():
            self.report.add_violation(violation, file, found_with)

    def _is_ours(self, group: str, option: str) -> bool:
        """Return whether an option in a user's tree is this package's or Hydra's, and needs no check."""
        file = self.primary.file(group.partition("@")[0], option)
        ours = group.startswith("gpt2/") if file is None else file.is_relative_to(CONF_DIR)
        return group.partition("/")[0] == "hydra" or (ours and self.tree.folder.resolve() != CONF_DIR)

    def check_option(self, group: str, option: str, plus: str = "") -> bool:
        """Check one option of a group; return whether it is valid."""
        folder = group.partition("@")[0]
        file, choice = self.primary.file(folder, option), [f"{plus}{format_override(group, option)}"]
        if file is None:  # a config in the ConfigStore
            return self._add(self._violations(choice), self.file, "", choice)
        within = f"{folder}/{option}".rpartition("/")[0]
        self._mark_reached(file, within)
        if not is_readable(file):
            self._check_values(file, within)
            return False
        return self._add(self._violations(choice, file), file, within, choice)

    def start_trial(self) -> PrimaryCheck:
        """Return a check of the same config that reports nothing until it is passed to :meth:`merge`."""
        return dataclasses.replace(self, report=Report([]), reached=set(), followed=set(), references=OpenReferences())

    def merge(self, trial: PrimaryCheck) -> None:
        """Report the results of a trial."""
        for each in trial.report.problems:
            self.report.add(each)
        self.reached |= trial.reached
        self.followed |= trial.followed
        self.references.merge(trial.references)

    def _add(self, violations: list[Violation], file: Path, group: str, choice: list[str]) -> bool:
        """Report the violations of a choice; return whether there are none."""
        if choice:
            violations = [each for each in violations if (each.key, each.source) not in self.baseline]
        is_right = not violations
        placed = [each for each in violations if each.source is not None and each.source.kind == "file"]
        if len(placed) < len(violations):  # Hydra rejects the defaults list of this file or of one that it includes
            malformed = any(not is_readable(one) for one, _ in self._included_files(file, group))
            if self._add_wrong_entries(file, group) or malformed:
                violations = placed
                self._check_values(file, group)
        for each in violations:
            self.report.add_violation(each, file, " ".join(choice))
        return is_right

    def _add_wrong_entries(self, file: Path, group: str) -> bool:
        found = [
            each
            for one, within in self._included_files(file, group)
            if is_readable(one)
            for each in check_entries(one, within, self.primary.composer.options)
        ]
        for each in found:
            self.report.add_violation(each, file)
        return bool(found)

    def _open_choices(self, choice: list[str]) -> list[str]:
        """Return a choice for each group that must be chosen on the command line (``model: ???``)."""
        chosen = {each.partition("=")[0] for each in choice}
        return [
            format_override(group, self.primary.options(group)[0])
            for group, option in self.primary.groups.items()
            if option == "???" and group not in chosen and self.primary.options(group)
        ]

    # ------------------------------------------------------------------------------------------------- one choice

    def _violations(self, choice: list[str], file: Path | None = None) -> list[Violation]:
        composer, root = self.primary.composer, self.primary.root
        overrides = [*self.primary.plugin_replacements, *self._open_choices(choice), *choice]
        try:
            found = composer.compose(overrides) if root is not None and root.HAS_SCHEMA else composer.fold(overrides)
            if found.files is not None and not found.violations:
                found.violations += found.files.wrong_sections
            if not all(_is_missing_value(each, root) for each in found.violations):
                return [each for each in refusal(composer, found).violations if not _is_missing_value(each, root)]
            refused = bool(found.overrides.values)  # a choice that Hydra cannot load was read as a value
            if found.files is None or refused or (not found.violations and self._must_be_composed(found.files)):
                with hydra_state():
                    composer.compose_by_hydra(overrides)
        except ConfigError as error:
            return [each for each in error.violations if not _is_missing_value(each, root)]
        except Exception as error:  # an error that only Hydra raises
            return [unknown_error_violation(error)]
        if found.files is None or (root is not None and root.HAS_SCHEMA):
            return []
        sections = [each for each, _ in found.files.sections]
        self.references.add(
            found.files.folded, sections, found.files.chosen.groups, self.primary.groups, file or self.file, " ".join(choice)
        )
        return [*misread_numbers(found.files.folded)]

    def _must_be_composed(self, files: FoldedFiles) -> bool:
        """Return whether Hydra must compose the files: for its own new settings, or for stored configs."""
        of_hydra = (files.chosen.hydra_configs, files.sections)
        if of_hydra in self.composed and not files.stored:
            return False
        self.composed.append(of_hydra)
        return True

    # -------------------------------------------------------------------------------------------- included files

    def _mark_reached(self, file: Path, group: str) -> None:
        self.reached.update(one.resolve() for one, _ in self._included_files(file, group, self.followed, every_option=True))

    def _included_files(
        self, file: Path, group: str, seen: set[tuple[Path, str]] | None = None, *, every_option: bool = False
    ) -> list[tuple[Path, str]]:
        """Return ``(file, group)`` of a file and those that it includes; ``every_option``: or may include.

        Files in ``seen`` are left out; the others are added to ``seen``.
        """
        found, waiting, seen = [], [(file, group)], set() if seen is None else seen
        while waiting:
            current = waiting.pop(0)
            if current not in seen:
                seen.add(current)
                found.append(current)
                waiting += self._direct_includes(*current, every_option=every_option)
        return found

    def _direct_includes(self, file: Path, group: str, *, every_option: bool) -> Iterator[tuple[Path, str]]:
        try:
            entries = defaults_entries(file, group)
        except ConfigError:
            return
        for entry in entries:
            if entry.options is None:
                within, _, name = entry.path.rpartition("/")
                names = [name]
            else:
                opens = every_option and entry.word != "override"
                within, names = entry.path, self.primary.options(entry.path) if opens else [*entry.options]
            for name in names:
                included = self.primary.file(within, name.removesuffix(".yaml"))
                if included is not None:
                    yield included, f"{within}/{name}".rpartition("/")[0]

    # ------------------------------------------------------------------------- files that cannot be composed

    def _check_all_values(self) -> None:
        """Check only the values of each file, because the primary config cannot be composed."""
        for file, group in self._included_files(self.file, "", every_option=True):
            if not file.is_relative_to(CONF_DIR) or self.tree.folder.resolve() == CONF_DIR:
                self._check_values(file, group)

    def _check_values(self, file: Path, group: str) -> None:
        """Report values of a file that are invalid in every composition, without composing it."""
        root, layer = self.primary.root, layer_despite_repeated_keys(file)
        if layer is None:
            return
        folded = Fold(SchemaCheck(root, [*self.primary.groups]) if root is not None else check_mergeable)
        folded.merge((), layer.below(split_key(package_of(file, group) if group else "")))
        if root is None:
            for each in misread_numbers(folded):
                self.report.add_violation(each, file)
            return
        for each in folded.violations:
            self.report.add_violation(each, file)
        for last in (history[-1] for history in folded.settings.values()):
            rule = rule_at(root, last.key)
            is_open = isinstance(last.value, str) and ("${" in last.value or last.value == "???")
            problem = rule.first_problem(last.value) if rule is not None and not is_open else None
            if problem:
                self.report.add_violation(Violation(last.key, last.value, problem, source=last.source), file)


def _is_missing_value(violation: Violation, root: type[Checked] | None) -> bool:
    """Return whether a violation is only about a value that must be given later."""
    open_value = violation.value in (ABSENT, "???") and violation.action == "set"  # with action "chose", the file is wrong
    return root is not None and open_value and field_at(root, violation.key) is not None
