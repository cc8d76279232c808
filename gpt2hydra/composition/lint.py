"""Every file of a conf tree: each primary config, each option of each group on it, each experiment."""

from __future__ import annotations

import warnings
from pathlib import Path

from gpt2hydra.composition.conf_file import is_readable, read_yaml, repeated_keys, wrong_entries
from gpt2hydra.composition.conf_tree import ConfTree, Primary
from gpt2hydra.composition.layers import displayed
from gpt2hydra.composition.primary_check import PrimaryCheck
from gpt2hydra.composition.report import Report
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.gpt2 import CONF_DIR


def check_tree(tree: ConfTree) -> Report:
    """Everything that is wrong with a conf tree, by file and line."""
    report = Report([displayed(str(file)) for file in tree.files()])
    for file in tree.files():
        try:
            read_yaml(file)
        except ConfigError as error:
            for violation in repeated_keys(file) or error.violations:
                report.add_violation(violation, file)
    reached: set[Path] = set()
    checks = [PrimaryCheck(tree, primary, report, reached) for primary in tree.primaries]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a run has them too, once
        for each in checks:
            each.run()
        _add_what_nothing_chooses(tree, report, reached, checks)
    for each in checks:
        each.finish()
        _add_what_is_hidden(each.primary, report)
    report.problems.sort(key=lambda each: (each.where.file or "", each.where.line or 0))
    return report


def _add_what_nothing_chooses(tree: ConfTree, report: Report, reached: set[Path], checks: list[PrimaryCheck]) -> None:
    """Check the files that no defaults list reaches; add those that no override can choose."""
    for file in tree.files():
        within = file.relative_to(tree.folder)
        group = within.parent.as_posix()
        if file.resolve() in reached or within.parts[0] == "hydra" or not is_readable(file):
            continue
        if file.suffix == ".yml":
            report.add_violation(Violation(displayed(str(file)), rule="is never read: Hydra takes .yaml files only"), file)
            continue
        option_of = [(each, around) for each in checks for around in _groups_around(each.primary, within.parent)]
        if option_of:  # experiment=sub/a
            for each, around in option_of:
                trial = each.trial()
                option = within.relative_to(around.partition("@")[0]).with_suffix("").as_posix()
                if trial.option(around, option) or not _is_right(each, group, file.stem):
                    each.take(trial)
        elif all(each.knows_its_groups and not _is_right(each, group, file.stem) for each in checks):
            rule = f"nothing can choose it: no defaults list names the group {group}"
            unchosen = Violation(displayed(str(file)), rule=rule)
            entries = (wrong_entries(file, group, each.primary.composer.options) for each in checks)
            for violation in next(filter(None, entries), [unchosen]):
                report.add_violation(violation, file)


def _is_right(check: PrimaryCheck, group: str, option: str) -> bool:
    """Whether nothing is wrong with ``+group=option``."""
    return check.trial().option(group, option, "+")


def _groups_around(primary: Primary, folder: Path) -> list[str]:
    """The groups of a primary config of which a file in ``folder`` is an option by its path."""
    above = {each.as_posix() for each in folder.parents} - {"."}
    return [group for group in primary.groups if group.partition("@")[0] in above]


def _add_what_is_hidden(primary: Primary, report: Report) -> None:
    """Add the files that are hidden by one of the same name in an earlier folder; ours may be replaced."""
    for number, folder in enumerate(primary.folders):
        for file in sorted(folder.rglob("*.yaml")) if folder != CONF_DIR else ():
            name = file.relative_to(folder)
            first = next((before / name for before in primary.folders[:number] if (before / name).is_file()), None)
            if first is not None and first.resolve() != file.resolve():
                rule = f"is never read: {displayed(str(first))} comes before it in the search path"
                report.add_violation(Violation(displayed(str(file)), rule=rule), file)
