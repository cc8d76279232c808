"""The ``gpt2hydra`` command: its options, and a module of this folder for each of its subcommands.

A module has ``SUMMARY``, its line in the list of commands; ``DESCRIPTION``, the head of its own help, and
perhaps ``EPILOG``, the end of it; ``add_options()``; and ``run()``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from gpt2hydra.commands import (
    check,
    completion,
    diff,
    evaluate,
    explain,
    export_hf,
    import_hf,
    report,
    runs,
    schema,
    size,
    tokenize,
)
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.launch import usage_hints
from gpt2hydra.launch.handle_errors import handle_errors
from gpt2hydra.utils.invocation import PROGRAMS, our_program
from gpt2hydra.version import __version__

COMMANDS: Mapping[str, Any] = {
    "size": size,
    "explain": explain,
    "check": check,
    "diff": diff,
    "runs": runs,
    "report": report,
    "tokenize": tokenize,
    "evaluate": evaluate,
    "import-hf": import_hf,
    "export-hf": export_hf,
    "schema": schema,
    "completion": completion,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a subcommand. Exits with 1 where its input is refused, with 2 on wrong usage."""
    words = sys.argv[1:] if arguments is None else [*arguments]
    parser = argparse.ArgumentParser(
        "gpt2hydra",
        usage="gpt2hydra [-h] [--version] COMMAND ...",
        description="Look at GPT-2 configurations and at runs without starting anything.",
        epilog=f"Programs of their own: {' and '.join(our_program(each).command() for each in PROGRAMS)}.",
    )
    parser.add_argument("--version", action="version", version=f"gpt2hydra {__version__}")
    parsers = _add_commands(parser)
    if not words:
        parser.print_help(sys.stderr)
        sys.exit(2)
    if not words[0].startswith("-") and words[0] not in COMMANDS:
        parser.exit(2, f"gpt2hydra: error: {usage_hints.no_command(words, COMMANDS)}\n")
    options, unknown = parser.parse_known_args(words)
    if unknown:  # an option between overrides, which takes argparse a second look
        words.remove(options.command)
        options = argparse.Namespace(command=options.command, **vars(parsers[options.command].parse_intermixed_args(words)))
    with handle_errors(), _one_configuration():
        COMMANDS[options.command].run(options)


@contextmanager
def _one_configuration() -> Iterator[None]:
    """Within, a list of values is refused without the advice to sweep over them: no command takes ``-m``."""
    try:
        yield
    except ConfigError as error:
        rule = "is a list of values; this command takes one"
        error.violations = tuple(
            replace(each, rule=rule, remedy={}, multirun=False) if each.multirun else each for each in error.violations
        )
        raise


def _add_commands(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    aligned = f"{'COMMAND':<14}"  # argparse reckons without the indent of the commands
    subparsers = parser.add_subparsers(prog="gpt2hydra", title="commands", dest="command", required=True, metavar=aligned)
    for name, command in COMMANDS.items():
        each = subparsers.add_parser(
            name,
            help=command.SUMMARY,
            description=command.DESCRIPTION,
            epilog=getattr(command, "EPILOG", None),
            formatter_class=argparse.RawDescriptionHelpFormatter if hasattr(command, "EPILOG") else argparse.HelpFormatter,
        )
        command.add_options(each)
    return subparsers.choices
