"""``gpt2hydra completion``: print a script that completes keys, options and values in a shell."""

from __future__ import annotations

import argparse
import os
from importlib import resources

PROGRAMS = ("gpt2hydra-train", "gpt2hydra-generate", "train.py", "generate.py")

SETUP_LINES = {
    "bash": 'eval "$(gpt2hydra completion bash)"      # in ~/.bashrc',
    "zsh": 'eval "$(gpt2hydra completion zsh)"       # in ~/.zshrc, after compinit',
    "fish": "gpt2hydra completion fish | source       # in ~/.config/fish/config.fish",
}


EPILOG = "To use it:\n" + "\n".join(f"  {line}" for line in SETUP_LINES.values())
DESCRIPTION = "Print a script that completes keys, options and values of the two programs, or of yours."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("shell", choices=SETUP_LINES, help="the shell that will read the script")
    parser.add_argument(
        "programs", nargs="*", metavar="PROGRAM", help=f"commands and .py files (default: {' '.join(PROGRAMS)})"
    )


def run(options: argparse.Namespace) -> None:
    """Print the script."""
    names = [os.path.basename(each) for each in options.programs or PROGRAMS]
    scripts = [each for each in names if each.endswith(".py")]
    commands = [each for each in names if not each.endswith(".py")]
    text = resources.files("gpt2hydra.launch").joinpath(f"completion.{options.shell}").read_text(encoding="utf-8")
    print(text.replace("@SCRIPTS@", " ".join(scripts)).replace("@COMMANDS@", " ".join(commands)), end="")
