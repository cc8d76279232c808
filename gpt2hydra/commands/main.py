"""The ``gpt2hydra`` command. Its subcommands are the modules here whose docstring begins with their command.

That first line is the command, such as ``gpt2hydra size``, a colon, and its line in the list of commands, so
that the list imports no module. A module has ``DESCRIPTION``, the head of its own help, and optionally
``EPILOG``, the end of it; ``add_options()``; and ``run()``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.launch import usage_hints
from gpt2hydra.launch.handle_errors import handle_errors
from gpt2hydra.utils.invocation import PROGRAMS, find_program
from gpt2hydra.version import __version__


def commands() -> dict[str, str]:
    """Return subcommand → its line in the list, in alphabetical order."""
    found = {}
    for file in sorted(Path(__file__).parent.glob("*.py")):
        with file.open(encoding="utf-8") as lines:
            first_line = re.match(r'"""``gpt2hydra ([\w-]+)``: (.+?)\.("""|\n)', next(lines, ""))
        if first_line is not None:
            found[first_line[1]] = first_line[2]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a subcommand. Exits with 1 if its input is invalid, with 2 on wrong usage."""
    words = sys.argv[1:] if arguments is None else [*arguments]
    parser = argparse.ArgumentParser(
        "gpt2hydra",
        usage="gpt2hydra [-h] [--version] COMMAND ...",
        description="Inspect GPT-2 configurations and runs. No command starts a run.",
        epilog=f"Separate programs: {' and '.join(find_program(each).command() for each in PROGRAMS)}.",
    )
    parser.add_argument("--version", action="version", version=f"gpt2hydra {__version__}")
    aligned = f"{'COMMAND':<14}"  # argparse does not count the indent of the commands
    subparsers = parser.add_subparsers(prog="gpt2hydra", title="commands", dest="command", required=True, metavar=aligned)
    known = commands()
    parsers = {name: subparsers.add_parser(name, help=summary) for name, summary in known.items()}
    named = next((word for word in words if word in known), None)
    command: Any = import_module(f"{__package__}.{named.replace('-', '_')}") if named else None
    if named:
        _add_options(parsers[named], command)
    if not words:
        parser.print_help(sys.stderr)
        sys.exit(2)
    if not words[0].startswith("-") and words[0] not in known:
        parser.exit(2, f"gpt2hydra: error: {usage_hints.unknown_command_message(words, known)}\n")
    options, unknown = parser.parse_known_args(words)
    if unknown:  # an option between overrides: argparse has to parse again
        words.remove(options.command)
        options = parsers[options.command].parse_intermixed_args(words)
    with handle_errors(), _remove_sweep_advice():
        command.run(options)


def _add_options(parser: argparse.ArgumentParser, command: Any) -> None:
    """Add the options and the help of a subcommand."""
    parser.description, parser.epilog = command.DESCRIPTION, getattr(command, "EPILOG", None)
    if parser.epilog:
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_options(parser)


@contextmanager
def _remove_sweep_advice() -> Iterator[None]:
    """Context manager: refuse a list of values without the advice to use ``-m``, which no command takes."""
    try:
        yield
    except ConfigError as error:
        rule = "is a list of values; this command takes one"
        error.violations = tuple(
            replace(each, rule=rule, remedy={}, multirun=False) if each.multirun else each for each in error.violations
        )
        raise
