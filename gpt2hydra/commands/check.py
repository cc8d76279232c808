"""``gpt2hydra check``: check every YAML file of a conf tree."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gpt2hydra.commands.common_options import add_apps, add_config_dir, conf_tree
from gpt2hydra.composition.lint import check_tree
from gpt2hydra.composition.report import LocatedViolation, Report
from gpt2hydra.config.errors import ABSENT, ConfigError
from gpt2hydra.utils.formatting import format_value, pluralize
from gpt2hydra.utils.paths import relative_path
from gpt2hydra.utils.quoting import Placeholder, RawOverride
from gpt2hydra.utils.verbosity import print_note

DESCRIPTION = (
    "Check each primary config, each option of each group and each experiment of a conf tree, as a run would, "
    "and report every problem with its file and line. Exits with 1 if there are any."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "conf_dir",
        nargs="?",
        metavar="CONF_DIR",
        type=Path,
        help="a folder of YAML files (default: that of --app, or gpt2hydra's own)",
    )
    add_apps(parser)
    add_config_dir(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Print the problems; exit with 1 if there are any."""
    tree = conf_tree(options, options.conf_dir)
    report = check_tree(tree)
    name = relative_path(tree.folder)
    if options.json:
        print(json.dumps(to_dict(report), indent=2))
        sys.stdout.flush()
        sys.exit(1 if report.problems else 0)
    for each in report.notes:
        print_note(f"note: {each}")
    if report.problems:
        raise ConfTreeError(name, report)
    print(f"{len(report.files)} files in {name}, nothing is wrong")


class ConfTreeError(ConfigError):
    """The problems of a conf tree."""

    def __init__(self, name: str, report: Report) -> None:
        super().__init__(each.violation for each in report.problems)
        self.name, self.report = name, report

    def __str__(self) -> str:
        problems, files = len(self.report.problems), len({each.where.file for each in self.report.problems})
        head = f"{pluralize(problems, 'problem')} in {files} of the {len(self.report.files)} files in {self.name}"
        return "\n".join([head, *(line for each in self.report.problems for line in _format(each))])

    def to_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return to_dict(self.report)


def _format(problem: LocatedViolation) -> Iterator[str]:
    violation = problem.violation
    yield f"\n{problem.where}"
    if violation.head != problem.where.file:
        yield f"  {violation.head}"
    yield f"    {violation.rule}"
    if problem.found_with:
        yield f"    found with {problem.found_with}"
    remedy = _format_remedy(problem)
    if remedy:
        yield f"    write: {remedy}"


def _format_remedy(problem: LocatedViolation) -> str:
    """Return what to write in the file: keys of the invalid key's section, or dotted keys."""
    section = problem.violation.key.rpartition(".")[0]
    lines = []
    for key, value in problem.violation.remedy.items():
        if value is ABSENT or isinstance(value, (RawOverride, Placeholder)) or problem.violation.multirun:
            return ""
        parent, _, name = key.rpartition(".")
        if (key, value, _format_yaml(value)) == (problem.violation.key, problem.violation.value, format_value(value)):
            return ""  # the rule names its right place
        line = f"{name}: {_format_yaml(value)}"
        lines.append(line if parent == section else f"{parent.replace('.', ': {')}: {{{line}}}{'}' * parent.count('.')}")
    return ", ".join(lines)


def _format_yaml(value: object) -> str:
    """Format a value as YAML; text that looks like another type is quoted."""
    if not isinstance(value, (str, list, dict)):
        return format_value(value)
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000).partition("\n")[0]


def to_dict(report: Report) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    problems = [
        {
            "file": each.where.file,
            "line": each.where.line,
            **({"found_with": each.found_with} if each.found_with else {}),
            **each.violation.to_dict(),
        }
        for each in report.problems
    ]
    return {"files": report.files, "problems": problems, "notes": report.notes}
