"""``gpt2hydra runs``: runs and the points of sweeps side by side."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.launch.extras import checked_file, require_extra_of
from gpt2hydra.runs.comparison import Comparison, compare, print_table

USUAL = ("outputs", "multirun")
"""Where runs and sweeps are without another word."""


SUMMARY = "runs and sweep points side by side: what differs, state, loss"
DESCRIPTION = "List runs, the best first: what differs between them, whether they have finished, validation loss."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("folder", nargs="*", metavar="DIR", help="with runs below it; outputs and multirun if none is given")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print everything, for a program")
    form.add_argument("--csv", action="store_true", help="print the table for a spreadsheet")
    form.add_argument("--plot", metavar="FILE.png", help="draw the loss over the one or two keys that differ")


def run(options: argparse.Namespace) -> None:
    """Print the table, or draw it."""
    comparison = compare(_folders(options.folder))
    if not comparison.rows and not comparison.unreadable:
        raise ConfigError([Violation("DIR", " ".join(options.folder or USUAL), "has no run below it")])
    if options.json:
        print(json.dumps([row.to_dict() for row in comparison.rows], indent=2))
    elif options.csv:
        _print_csv(comparison)
    elif options.plot is not None:
        print(f"wrote {_plot(comparison, options.plot)}")
    elif comparison.rows:
        print_table(comparison)
    for violation in comparison.unreadable:
        sys.stderr.write(f"{violation.key} {violation.rule}\n")


def _folders(given: list[str]) -> list[Path]:
    folders = [Path(each).expanduser() for each in given or USUAL]
    absent = [folder for folder in folders if not folder.is_dir()]
    if given and absent:
        raise ConfigError([Violation("DIR", str(folder), "is not a folder") for folder in absent])
    return [folder for folder in folders if folder not in absent]


def _print_csv(comparison: Comparison) -> None:
    records = list(comparison.records())
    if records:
        writer = csv.DictWriter(sys.stdout, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)


def _plot(comparison: Comparison, path: str) -> Path:
    file = checked_file(path)
    require_extra_of("--plot", path, "plot")
    from gpt2hydra.runs.comparison_plot import plot_runs

    plot_runs(comparison, file)
    return file
