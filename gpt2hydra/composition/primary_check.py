"""One primary config of a tree, composed with each option of its groups, as a run would compose it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpt2hydra.composition.compose import refusal
from gpt2hydra.composition.conf_file import (
    defaults_of,
    is_readable,
    layer_despite_repeated_keys,
    package_of,
    wrong_entries,
)
from gpt2hydra.composition.conf_tree import ConfTree, Primary
from gpt2hydra.composition.files import FoldedFiles
from gpt2hydra.composition.fold import Fold, split_key
from gpt2hydra.composition.hydra_errors import unexplained
from gpt2hydra.composition.hydra_state import hydra_state
from gpt2hydra.composition.judge import Schema, unmergeable
from gpt2hydra.composition.layers import displayed
from gpt2hydra.composition.report import Report
from gpt2hydra.composition.untyped import OpenReferences, misread_numbers
from gpt2hydra.config.errors import ABSENT, ConfigError, Source, Violation
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.keys import field_at, rule_at
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.quoting import override


@dataclass
class PrimaryCheck:
    """Checks a primary config; adds what is wrong to ``report``, and what it can use to ``reached``."""

    tree: ConfTree
    primary: Primary
    report: Report
    reached: set[Path]
    looked_into: set[tuple[Path, str]] = field(default_factory=set)
    """Files whose defaults lists were followed, with the group that each is an option of."""
    always: set[tuple[str, Source | None]] = field(default_factory=set)
    """What is wrong whatever is chosen."""
    composed: list[Any] = field(default_factory=list)
    """What files set of Hydra itself, where Hydra composed it without an error."""
    references: OpenReferences = field(default_factory=OpenReferences)

    @property
    def file(self) -> Path:
        """Where the primary config stands."""
        return self.tree.folder / f"{self.primary.name}.yaml"

    @property
    def knows_its_groups(self) -> bool:
        """Whether its defaults list can be read, so that no other group can be chosen."""
        groups, options = self.primary.groups, self.primary.composer.options
        return is_readable(self.file) and (bool(groups) or not wrong_entries(self.file, "", options))

    def run(self) -> None:
        """Check the config as it is, and then each option."""
        self._reach(self.file, "")
        if not is_readable(self.file):
            self._report_values_alone()
            return
        found = self._violations([])
        self.always = {(each.key, each.source) for each in found}
        if self.primary.root is None and not self.always:
            self.report.notes.append(f"{displayed(str(self.file))} lists no schema, so that its values are not checked")
        self._add(found, self.file, "", [])
        if self.always and not self.primary.groups:  # a file that it takes in cannot be read
            self._report_values_alone()
        if self.primary.without_plugins:
            self._add_wrong_entries(self.file, "")
        for group in self.primary.groups:
            for option in self.primary.options(group):
                if not self._is_ours(group, option):
                    self.option(group, option)

    def finish(self) -> None:
        """Add the references to keys that no option of an open group brings either."""
        for violation, file, found_with in self.references.unresolved():
            self.report.add_violation(violation, file, found_with)

    def _is_ours(self, group: str, option: str) -> bool:
        """Whether an option needs no check: Hydra's, or in somebody else's program one of this package."""
        file = self.primary.file(group.partition("@")[0], option)
        ours = group.startswith("gpt2/") if file is None else file.is_relative_to(CONF_DIR)
        return group.partition("/")[0] == "hydra" or (ours and self.tree.folder.resolve() != CONF_DIR)

    def option(self, group: str, option: str, plus: str = "") -> bool:
        """Check one option of a group; whether nothing is wrong with it."""
        folder = group.partition("@")[0]
        file, choice = self.primary.file(folder, option), [f"{plus}{override(group, option)}"]
        if file is None:  # a config that Python stored
            return self._add(self._violations(choice), self.file, "", choice)
        within = f"{folder}/{option}".rpartition("/")[0]
        self._reach(file, within)
        if not is_readable(file):
            self._add_values_alone(file, within)
            return False
        return self._add(self._violations(choice, file), file, within, choice)

    def trial(self) -> PrimaryCheck:
        """A check of the same config, of which nothing is reported before :meth:`take`."""
        return dataclasses.replace(self, report=Report([]), reached=set(), looked_into=set(), references=OpenReferences())

    def take(self, trial: PrimaryCheck) -> None:
        """Report what a trial found."""
        for each in trial.report.problems:
            self.report.add(each)
        self.reached |= trial.reached
        self.looked_into |= trial.looked_into
        self.references.take(trial.references)

    def _add(self, violations: list[Violation], file: Path, group: str, choice: list[str]) -> bool:
        """Report what is wrong with a choice; whether nothing is."""
        if choice:
            violations = [each for each in violations if (each.key, each.source) not in self.always]
        is_right = not violations
        placed = [each for each in violations if each.source is not None and each.source.kind == "file"]
        if len(placed) < len(violations):  # the defaults list of this file, or of one that it takes in, is refused
            malformed = any(not is_readable(one) for one, _ in self._taken_in(file, group))
            if self._add_wrong_entries(file, group) or malformed:
                violations = placed
                self._add_values_alone(file, group)
        for each in violations:
            self.report.add_violation(each, file, " ".join(choice))
        return is_right

    def _add_wrong_entries(self, file: Path, group: str) -> bool:
        found = [
            each
            for one, within in self._taken_in(file, group)
            if is_readable(one)
            for each in wrong_entries(one, within, self.primary.composer.options)
        ]
        for each in found:
            self.report.add_violation(each, file)
        return bool(found)

    def _open_choices(self, choice: list[str]) -> list[str]:
        """An option of each group that is to be chosen on the command line (``model: ???``)."""
        chosen = {each.partition("=")[0] for each in choice}
        return [
            override(group, self.primary.options(group)[0])
            for group, option in self.primary.groups.items()
            if option == "???" and group not in chosen and self.primary.options(group)
        ]

    # ------------------------------------------------------------------------------------------------- one choice

    def _violations(self, choice: list[str], file: Path | None = None) -> list[Violation]:
        composer, root = self.primary.composer, self.primary.root
        overrides = [*self.primary.without_plugins, *self._open_choices(choice), *choice]
        try:
            found = composer.compose(overrides) if root is not None and root.HAS_SCHEMA else composer.fold(overrides)
            if found.files is not None and not found.violations:
                found.violations += found.files.wrong_sections
            if not all(_is_left_open(each, root) for each in found.violations):
                return [each for each in refusal(composer, found).violations if not _is_left_open(each, root)]
            refused = bool(found.overrides.values)  # a choice of what Hydra cannot load is taken for a value
            if found.files is None or refused or (not found.violations and self._is_new_to_hydra(found.files)):
                with hydra_state():
                    composer.compose_by_hydra(overrides)
        except ConfigError as error:
            return [each for each in error.violations if not _is_left_open(each, root)]
        except Exception as error:  # what Hydra alone refuses
            return [unexplained(error)]
        if found.files is None or (root is not None and root.HAS_SCHEMA):
            return []
        sections = [each for each, _ in found.files.sections]
        self.references.add(
            found.files.folded, sections, found.files.chosen.groups, self.primary.groups, file or self.file, " ".join(choice)
        )
        return [*misread_numbers(found.files.folded)]

    def _is_new_to_hydra(self, files: FoldedFiles) -> bool:
        """Whether Hydra must compose the files: for what they set of Hydra itself, or for stored configs."""
        of_hydra = (files.chosen.hydras, files.sections)
        if of_hydra in self.composed and not files.stored:
            return False
        self.composed.append(of_hydra)
        return True

    # -------------------------------------------------------------------------------------------- files taken in

    def _reach(self, file: Path, group: str) -> None:
        self.reached.update(one.resolve() for one, _ in self._taken_in(file, group, self.looked_into, every_option=True))

    def _taken_in(
        self, file: Path, group: str, seen: set[tuple[Path, str]] | None = None, *, every_option: bool = False
    ) -> list[tuple[Path, str]]:
        """A file and those that its defaults list takes in, or could take in, each with its group.

        Those that are ``seen`` are left out; the others are added to that.
        """
        found, waiting, seen = [], [(file, group)], set() if seen is None else seen
        while waiting:
            here = waiting.pop(0)
            if here not in seen:
                seen.add(here)
                found.append(here)
                waiting += self._named_by(*here, every_option=every_option)
        return found

    def _named_by(self, file: Path, group: str, *, every_option: bool) -> Iterator[tuple[Path, str]]:
        try:
            entries = defaults_of(file, group)
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
                taken = self.primary.file(within, name.removesuffix(".yaml"))
                if taken is not None:
                    yield taken, f"{within}/{name}".rpartition("/")[0]

    # ------------------------------------------------------------------------- files that cannot be composed

    def _report_values_alone(self) -> None:
        """Check the values of each option by themselves, where the primary config cannot be read."""
        for file, group in self._taken_in(self.file, "", every_option=True):
            if not file.is_relative_to(CONF_DIR) or self.tree.folder.resolve() == CONF_DIR:
                self._add_values_alone(file, group)

    def _add_values_alone(self, file: Path, group: str) -> None:
        """Report values of a file that is not composed, which no composition could make right."""
        root, layer = self.primary.root, layer_despite_repeated_keys(file)
        if layer is None:
            return
        folded = Fold(Schema(root, [*self.primary.groups]) if root is not None else unmergeable)
        folded.merge((), layer.below(split_key(package_of(file, group) if group else "")))
        if root is None:
            for each in misread_numbers(folded):
                self.report.add_violation(each, file)
            return
        for each in folded.violations:
            self.report.add_violation(each, file)
        for last in (chain[-1] for chain in folded.chains.values()):
            rule = rule_at(root, last.key)
            is_open = isinstance(last.value, str) and ("${" in last.value or last.value == "???")
            problem = rule.problem(last.value) if rule is not None and not is_open else None
            if problem:
                self.report.add_violation(Violation(last.key, last.value, problem, source=last.source), file)


def _is_left_open(violation: Violation, root: type[Checked] | None) -> bool:
    """Whether nothing is wrong but that a value is still to be given."""
    open_value = violation.value in (ABSENT, "???") and violation.action == "set"  # where it chose one, the file is wrong
    return root is not None and open_value and field_at(root, violation.key) is not None
