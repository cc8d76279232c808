"""Check all files of a conf tree: each primary config with each option of its groups, and other files."""

from __future__ import annotations

import warnings
from pathlib import Path

from gpt2hydra.composition.conf_file import check_entries, is_readable, read_yaml, repeated_keys
from gpt2hydra.composition.conf_tree import ConfTree, Primary
from gpt2hydra.composition.layers import display_path
from gpt2hydra.composition.primary_check import PrimaryCheck
from gpt2hydra.composition.report import Report
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.gpt2 import CONF_DIR


def check_tree(tree: ConfTree) -> Report:
    """Return the report with all violations in a conf tree, sorted by file and line."""
    report = Report([display_path(str(file)) for file in tree.files()])
    for file in tree.files():
        try:
            read_yaml(file)
        except ConfigError as error:
            for violation in repeated_keys(file) or error.violations:
                report.add_violation(violation, file)
    reached: set[Path] = set()
    checks = [PrimaryCheck(tree, primary, report, reached) for primary in tree.primaries]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a run prints them, once
        for each in checks:
            each.run()
        _check_unreachable_files(tree, report, reached, checks)
    for each in checks:
        each.finish()
        _report_shadowed_files(each.primary, report)
    report.problems.sort(key=lambda each: (each.where.file or "", each.where.line or 0))
    return report


def _check_unreachable_files(tree: ConfTree, report: Report, reached: set[Path], checks: list[PrimaryCheck]) -> None:
    """Check the files that no defaults list can include; report those that no override can choose."""
    for file in tree.files():
        within = file.relative_to(tree.folder)
        group = within.parent.as_posix()
        if file.resolve() in reached or within.parts[0] == "hydra" or not is_readable(file):
            continue
        if file.suffix == ".yml":
            report.add_violation(Violation(display_path(str(file)), rule="is never read: Hydra takes .yaml files only"), file)
            continue
        option_of = [(each, around) for each in checks for around in _groups_around(each.primary, within.parent)]
        if option_of:  # experiment=sub/a
            for each, around in option_of:
                trial = each.start_trial()
                option = within.relative_to(around.partition("@")[0]).with_suffix("").as_posix()
                if trial.check_option(around, option) or not _is_valid_option(each, group, file.stem):
                    each.merge(trial)
        elif all(each.knows_its_groups and not _is_valid_option(each, group, file.stem) for each in checks):
            rule = f"cannot be chosen: no defaults list has the group {group}"
            unchosen = Violation(display_path(str(file)), rule=rule)
            entries = (check_entries(file, group, each.primary.composer.options) for each in checks)
            for violation in next(filter(None, entries), [unchosen]):
                report.add_violation(violation, file)


def _is_valid_option(check: PrimaryCheck, group: str, option: str) -> bool:
    """Return whether ``+group=option`` is valid."""
    return check.start_trial().check_option(group, option, "+")


def _groups_around(primary: Primary, folder: Path) -> list[str]:
    """Return the groups of a primary config that have ``folder`` below their own folder."""
    above = {each.as_posix() for each in folder.parents} - {"."}
    return [group for group in primary.groups if group.partition("@")[0] in above]


def _report_shadowed_files(primary: Primary, report: Report) -> None:
    """Report files that are hidden by a file of the same name in an earlier folder, except our own files."""
    for number, folder in enumerate(primary.folders):
        for file in sorted(folder.rglob("*.yaml")) if folder != CONF_DIR else ():
            name = file.relative_to(folder)
            first = next((before / name for before in primary.folders[:number] if (before / name).is_file()), None)
            if first is not None and first.resolve() != file.resolve():
                rule = f"is never read: {display_path(str(first))} comes before it in the search path"
                report.add_violation(Violation(display_path(str(file)), rule=rule), file)
