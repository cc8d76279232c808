"""The ``gpt2hydra`` command: its options, and a file of this folder for each of its subcommands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gpt2hydra.commands import check, completion, diff, evaluate, explain, export_hf, import_hf, runs, schema, size, tokenize
from gpt2hydra.launch import usage_hints
from gpt2hydra.launch.application import PROGRAMS
from gpt2hydra.launch.handle_errors import program
from gpt2hydra.version import __version__

COMMANDS = (size, explain, check, diff, runs, tokenize, evaluate, import_hf, export_hf, schema, completion)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a subcommand. Exits with 1 where a configuration is refused, with 2 on wrong usage."""
    words = sys.argv[1:] if arguments is None else [*arguments]
    parser = argparse.ArgumentParser(
        "gpt2hydra",
        description="Look at GPT-2 configurations without starting anything.",
        epilog=f"Programs of their own: {' and '.join(map(usage_hints.program, PROGRAMS))}.",
    )
    parser.add_argument("--version", action="version", version=f"gpt2hydra {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    if words and not words[0].startswith("-") and words[0] not in commands.choices:
        parser.exit(2, f"gpt2hydra: error: {usage_hints.no_command(words, commands.choices)}\n")
    options, unknown = parser.parse_known_args(words)
    if unknown:  # an option between overrides, which takes argparse a second look
        name = next(word for word in words if word in commands.choices)
        words.remove(name)
        options = commands.choices[name].parse_intermixed_args(words)
    with program():
        options.run(options)
