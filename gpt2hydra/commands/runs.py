"""``gpt2hydra runs``: compare runs: settings, progress and loss."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from gpt2hydra.commands.common_options import check_output_file
from gpt2hydra.config.errors import UsageError, Violation
from gpt2hydra.runs.comparison import Comparison, resolve_columns
from gpt2hydra.runs.comparison_table import csv_rows, format_runs, table_rows
from gpt2hydra.runs.record import DEFAULT_FOLDERS
from gpt2hydra.runs.run_filter import apply_filter
from gpt2hydra.utils.paths import relative_path, user_path

DESCRIPTION = "List runs, the best first: the settings that differ, state and validation loss."
EPILOG = """\
KEY is a key of the configuration (its last part is enough if unique), or one of
run, state, step, validation_loss, seconds, tokens_per_second, mfu, ...:
  gpt2hydra runs sweeps/first --filter 'learning_rate<1e-3 state=finished'
  gpt2hydra runs sweeps/first --by n_layer,learning_rate
  gpt2hydra runs sweeps/first --plot loss.png --x learning_rate --by n_layer
  gpt2hydra runs sweeps/first --curves curves.png --by learning_rate"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_folders(parser)
    parser.add_argument("--filter", metavar="EXPR", help="only the runs that match: 'learning_rate<1e-3 state=finished'")
    parser.add_argument("--sort", metavar="KEY", help="sort by this key; --sort=-KEY: the largest first")
    parser.add_argument("--columns", metavar="KEYS", help="show these keys (separated by commas) instead of those that differ")
    parser.add_argument(
        "--by", metavar="KEYS", help="one line for each value of these keys: mean loss ± standard deviation, number of runs"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON; without --columns and --by, all keys")
    form.add_argument("--csv", action="store_true", help="print CSV")
    parser.add_argument("--plot", metavar="FILE.png", help="plot the loss over --x, with a line for each value of --by")
    parser.add_argument("--x", metavar="KEY", help="the key on the x axis of --plot (default: the key with the most values)")
    parser.add_argument("--curves", metavar="FILE.png", help="plot the loss curves of all runs in one figure")


def add_folders(parser: argparse.ArgumentParser) -> None:
    """Add the argument for the folders to search."""
    parser.add_argument("folder", nargs="*", metavar="DIR", help="a folder that contains runs (default: outputs and multirun)")


def run(options: argparse.Namespace) -> None:
    """Print the table, or draw the pictures."""
    named = {name: path for name in ("plot", "curves") if (path := getattr(options, name)) is not None}
    pictures = {name: check_output_file(f"--{name}", path, "plot") for name, path in named.items()}
    if options.x is not None and options.plot is None:
        raise UsageError([Violation("--x", options.x, "is the axis of a plot; add --plot FILE.png")])
    if options.columns is not None and options.by is not None:
        raise UsageError([Violation("--columns", options.columns, "shows single runs; --by shows groups of them")])
    comparison = select_runs(options)
    by = resolve_columns(comparison, options.by or "", "--by")
    if pictures:
        _draw(comparison, pictures, options.x, by)
    else:
        _print(comparison, options, by)


def select_runs(options: argparse.Namespace) -> Comparison:
    """Return the runs in the given folders, filtered and sorted; print damaged records on standard error.

    Raises:
        UsageError: there is no such folder, no run in it, or no such column.
    """
    comparison = Comparison.read_below(*_find_folders(options.folder))
    if not comparison.runs:
        nothing = [Violation(each, rule="contains no run") for each in options.folder or [" and ".join(DEFAULT_FOLDERS)]]
        raise UsageError(comparison.unreadable or nothing)
    for violation in comparison.unreadable:
        sys.stderr.write(f"skipped: {violation.key} {violation.rule}\n")
    if options.filter is not None:
        comparison = apply_filter(comparison, options.filter)
    if options.sort is not None:
        column = comparison.resolve_column(options.sort.removeprefix("-"), "--sort")
        comparison = comparison.sorted_by(column, descending=options.sort.startswith("-"))
    return comparison


def _find_folders(given: list[str]) -> list[Path]:
    folders = [user_path(each) for each in given or DEFAULT_FOLDERS]
    absent = [folder for folder in folders if not folder.is_dir()]
    if given and absent:
        raise UsageError([Violation(str(folder), rule="is not a folder") for folder in absent])
    return [folder for folder in folders if folder not in absent]


def _print(comparison: Comparison, options: argparse.Namespace, by: list[str]) -> None:
    columns = resolve_columns(comparison, options.columns or "", "--columns")
    if options.json and not columns and not by:
        print(json.dumps([run.to_dict() for run in comparison.runs], indent=2))
    elif options.json:
        print(json.dumps([*table_rows(comparison, columns, by)], indent=2))
    elif options.csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows(csv_rows([*table_rows(comparison, columns, by)]))
    else:
        print(format_runs(comparison, columns, by))


def _draw(comparison: Comparison, pictures: Mapping[str, Path], x: str | None, by: list[str]) -> None:
    from gpt2hydra.runs.comparison_plot import plot_curves, plot_losses  # needs matplotlib

    if "plot" in pictures:
        plot_losses(comparison, pictures["plot"], x=x and comparison.resolve_column(x, "--x"), by=by)
    if "curves" in pictures:
        plot_curves(comparison, pictures["curves"], by=by)
    print("\n".join(f"wrote {relative_path(file)}" for file in pictures.values()))
