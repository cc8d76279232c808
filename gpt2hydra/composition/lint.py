"""Every file of a conf tree through the gate: each primary config, each option of each group on it, each experiment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpt2hydra.composition.compose import compose_and_check
from gpt2hydra.composition.conf_file import defaults_of, package_of, read_yaml, wrong_entries
from gpt2hydra.composition.conf_tree import ConfTree, Primary
from gpt2hydra.composition.fold import Fold, split_key
from gpt2hydra.composition.hydra_errors import as_it_came
from gpt2hydra.composition.hydra_state import hydra_state
from gpt2hydra.composition.judge import Schema
from gpt2hydra.composition.layers import displayed, layers_of
from gpt2hydra.config.errors import ABSENT, ConfigError, Source, Violation
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.keys import field_at, rule_at
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.quoting import override


@dataclass(frozen=True)
class Problem:
    """What is wrong, the place that has to change, and the choice with which it was found, if that is another file's."""

    violation: Violation
    where: Source
    found_with: str = ""


@dataclass
class Report:
    """What was looked at, and everything that is wrong with it."""

    files: list[str]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, problem: Problem) -> None:
        """Take a problem, unless it is told already: a file may be taken in by many choices."""
        one = problem.violation
        if all(
            (one.key, one.rule, problem.where) != (each.violation.key, each.violation.rule, each.where)
            for each in self.problems
        ):
            self.problems.append(problem)


def check_tree(tree: ConfTree) -> Report:
    """Everything that is wrong with a conf tree, by file and line."""
    report = Report([displayed(str(file)) for file in tree.files()])
    for file in tree.files():
        try:
            read_yaml(file)
        except ConfigError as error:
            _report(report, error.violations, file)
    reached: set[Path] = set()
    for primary in tree.primaries:
        _PrimaryCheck(tree, primary, report, reached).run()
    _tell_what_nothing_chooses(tree, report, reached)
    for primary in tree.primaries:
        _tell_what_is_hidden(primary, report)
    report.problems.sort(key=lambda each: (each.where.file or "", each.where.line or 0))
    return report


def _report(report: Report, violations: Sequence[Violation], file: Path, found_with: str = "") -> None:
    """Put violations at the lines that set them, in ``file`` where there is a choice."""
    name = displayed(str(file))
    for violation in violations:
        told = [each for each in (violation.source, *violation.others.values()) if each is not None and each.kind == "file"]
        here = next((each for each in told if each.file == name), None)
        where = here or next(iter(told), None) or Source("file", name, 1)
        report.add(Problem(violation, where, "" if where.file == name else found_with))


@dataclass
class _PrimaryCheck:
    """One primary config, with every choice that its defaults lists leave."""

    tree: ConfTree
    primary: Primary
    report: Report
    reached: set[Path]
    always: set[tuple[str, Source | None]] = field(default_factory=set)
    """What is wrong whatever is chosen."""

    def run(self) -> None:
        file = self.tree.folder / f"{self.primary.name}.yaml"
        self._reach(file, "")
        if not _readable(file):
            return
        self.always = {(each.key, each.source) for each in self._violations(self._open_choices([]))}
        if self.primary.root is None and not self.always:
            self.report.notes.append(f"{displayed(str(file))} lists no schema, so that its values are not checked")
        self._try([], file, "")
        for group in self.primary.groups:
            for option in self.primary.options(group):
                if not self._is_ours(group, option):
                    self.option(group, option)

    def _is_ours(self, group: str, option: str) -> bool:
        """Whether an option of somebody else's program is one that this package ships, which is checked with ours."""
        file = self.primary.file(group.partition("@")[0], option)
        ours = group.startswith("gpt2/") if file is None else file.is_relative_to(CONF_DIR)
        return ours and self.tree.folder.resolve() != CONF_DIR

    def option(self, group: str, option: str, plus: str = "") -> bool:
        """Check one option of a group; whether nothing is wrong with it."""
        folder = group.partition("@")[0]
        file = self.primary.file(folder, option)
        if file is None:  # a config that Python stored
            return self._try([f"{plus}{override(group, option)}"], self.tree.folder / f"{self.primary.name}.yaml", "")
        self._reach(file, folder)
        return _readable(file) and self._try([f"{plus}{override(group, option)}"], file, folder)

    def _try(self, choice: list[str], file: Path, group: str) -> bool:
        violations = self._violations([*self._open_choices(choice), *choice])
        if choice:
            violations = [each for each in violations if (each.key, each.source) not in self.always]
        placed = [each for each in violations if each.source is not None and each.source.kind == "file"]
        if len(placed) < len(violations):  # the defaults list of this file, or of one that it takes in, is refused
            taken = [(one, within) for one, within in self._taken_in(file, group) if _readable(one)]
            wrong = [each for one, within in taken for each in wrong_entries(one, within, self.primary.composer.options)]
            if wrong:
                violations = [*placed, *wrong, *self._wrong_values(file, group)]
        _report(self.report, violations, file, " ".join(choice))
        return not violations

    def _open_choices(self, choice: list[str]) -> list[str]:
        """An option of each group that is to be chosen on the command line (``model: ???``)."""
        chosen = {each.partition("=")[0] for each in choice}
        return [
            override(group, self.primary.options(group)[0])
            for group, option in self.primary.groups.items()
            if option == "???" and group not in chosen and self.primary.options(group)
        ]

    def _violations(self, overrides: list[str]) -> list[Violation]:
        composer, root = self.primary.composer, self.primary.root
        try:
            if root is not None:
                compose_and_check(composer, overrides)
            with hydra_state():
                composer.full(overrides)
        except ConfigError as error:
            return [each for each in error.violations if not _is_left_open(each, root)]
        except Exception as error:  # what Hydra alone refuses
            return [as_it_came(error)]
        return []

    def _reach(self, file: Path, group: str) -> None:
        self.reached.update(one.resolve() for one, _ in self._taken_in(file, group, every_option=True))

    def _taken_in(
        self, file: Path, group: str, seen: frozenset[Path] = frozenset(), *, every_option: bool = False
    ) -> Iterator[tuple[Path, str]]:
        """A file and those that its defaults list takes in, or could take in, with the groups that they are in."""
        if file in seen:
            return
        yield file, group
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
                taken = self.primary.file(within, name)
                if taken is not None:
                    yield from self._taken_in(taken, within, seen | {file}, every_option=every_option)

    def _wrong_values(self, file: Path, group: str) -> Iterator[Violation]:
        """Values of a file that is not composed, for its defaults list is wrong, which no composition could make right."""
        root = self.primary.root
        if root is None:
            return
        package = package_of(file, group) if group else ""
        name = f"{group}/{file.stem}" if group else file.stem
        folded = Fold(Schema(root, [*self.primary.groups]))
        with hydra_state():
            for layer in layers_of(self.primary.composer.options.repository, name):
                folded.merge((), layer.below(split_key(package)))
        yield from folded.violations
        for last in (chain[-1] for chain in folded.chains.values()):
            rule, given = (
                rule_at(root, last.key),
                not (isinstance(last.value, str) and ("${" in last.value or last.value == "???")),
            )
            problem = rule.problem(last.value) if rule is not None and given else None
            if problem:
                yield Violation(last.key, last.value, problem, source=last.source)


def _is_left_open(violation: Violation, root: type[Checked] | None) -> bool:
    """Whether nothing is wrong but that a value is still to be given."""
    return root is not None and violation.value in (ABSENT, "???") and field_at(root, violation.key) is not None


def _readable(file: Path) -> bool:
    try:
        read_yaml(file)
    except ConfigError:
        return False
    return True


# --------------------------------------------------------------------------------------- files that are of no use


def _tell_what_nothing_chooses(tree: ConfTree, report: Report, reached: set[Path]) -> None:
    for file in tree.files():
        within = file.relative_to(tree.folder)
        group = within.parent.as_posix()
        if file.resolve() in reached or within.parts[0] == "hydra" or not _readable(file):
            continue
        if file.suffix == ".yml":
            rule = "is never read: Hydra takes .yaml files only"
        elif any(_PrimaryCheck(tree, primary, Report([]), set()).option(group, file.stem, "+") for primary in tree.primaries):
            continue  # +group=option adds it
        else:
            rule = f"nothing can choose it: no defaults list names the group {group}"
        _report(report, [Violation(displayed(str(file)), rule=rule)], file)


def _tell_what_is_hidden(primary: Primary, report: Report) -> None:
    """Tell the files of which another folder of the search path has one of the same name; ours may be replaced."""
    for number, folder in enumerate(primary.folders):
        for file in sorted(folder.rglob("*.yaml")) if folder != CONF_DIR else ():
            name = file.relative_to(folder)
            first = next((before / name for before in primary.folders[:number] if (before / name).is_file()), None)
            if first is not None and first.resolve() != file.resolve():
                rule = f"is never read: {displayed(str(first))} comes before it in the search path"
                _report(report, [Violation(displayed(str(file)), rule=rule)], file)
