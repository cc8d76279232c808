"""``gpt2hydra report``: compare runs on an HTML page: table, loss curves, parallel coordinates, samples."""

from __future__ import annotations

import argparse

from gpt2hydra.commands.common_options import check_output_file
from gpt2hydra.commands.runs import add_folders, select_runs
from gpt2hydra.config.errors import UsageError, Violation
from gpt2hydra.runs.record import DEFAULT_FOLDERS
from gpt2hydra.utils.files import atomic_file
from gpt2hydra.utils.formatting import error_reason
from gpt2hydra.utils.paths import relative_path

DESCRIPTION = "Write an HTML page that compares runs. It opens in any browser, without a network."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_folders(parser)
    parser.add_argument("--output", metavar="FILE.html", default="report.html", help="the file to write (default: report.html)")
    parser.add_argument("--filter", metavar="EXPR", help="only the runs that match, as for gpt2hydra runs")
    parser.add_argument("--sort", metavar="KEY", help="sort by this key, as for gpt2hydra runs")


def run(options: argparse.Namespace) -> None:
    """Write the page.

    Raises:
        UsageError: no run is found, plotly is not installed, or the file cannot be written.
    """
    file = check_output_file("--output", options.output, "report", (".html",))
    comparison = select_runs(options)
    from gpt2hydra.runs.report_page import report_page  # needs plotly

    page = report_page(comparison, f"Runs of {', '.join(options.folder or DEFAULT_FOLDERS)}")
    try:
        with atomic_file(file) as unfinished:
            unfinished.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError([Violation("--output", str(file), f"cannot be written: {error_reason(error)}")]) from None
    print(f"wrote {relative_path(file)}")
