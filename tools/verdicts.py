"""Mutates a small conf tree, and sees that ``gpt2hydra check`` and the program agree about it, by their exit codes.

Run: ``python -m tools.verdicts --trees 1000``, about half an hour. ``check`` finds nothing wrong exactly
where the program takes every choice that the tree offers.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import re
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import gpt2hydra
from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.conf_tree import ConfTree
from gpt2hydra.composition.lint import check_tree
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.fields import Checked, choice, flag, integer, number, section, text
from tools.mutations import BYTES, MUTATIONS


@dataclass(frozen=True)
class Optimizer(Checked):
    """A section that has a group of options."""

    lr: float = number(0.1, "lr", above=0, at_most=10)
    name: str = choice("adam", "name", ("adam", "sgd"))
    steps: int = integer(10, "steps", at_least=1, at_most=1000)


@dataclass(frozen=True)
class Job(Checked):
    """The configuration of the program."""

    first: Optimizer = section(Optimizer, "one")
    second: Optimizer = section(Optimizer, "another of the same group")
    seed: int = integer(1, "seed", at_least=0)
    title: str = text("untitled", "title")
    dry_run: bool = flag(False, "start nothing")


TREE = {
    "job.yaml": """\
# A program of two optimizers.
defaults:
  - job_schema
  - first: small
  - first@second: large
  - _self_
  - experiment: null

seed: 3
title: a title
hydra:
  job:
    name: mine
""",
    "first/small.yaml": "lr: 0.5\nsteps: 20\n",
    "first/large.yaml": "# the large one\nlr: 0.01\nname: sgd\nsteps: 500\n",
    "first/other.yaml": "defaults: [small, _self_]\nname: sgd\n",
    "experiment/long.yaml": """\
# @package _global_
defaults:
  - override /first: large

first:
  steps: 900
seed: 7
""",
    "experiment/short.yaml": "# @package _global_\nsecond:\n  lr: ${first.lr}\n  steps: 1\n",
}

OF_NO_USE = re.compile("cannot be chosen|is never read")
"""Rules of ``check`` for a file that no command line brings, so that no program minds it."""


PLAUSIBLE = ["1", "0.5", "7", "900", "adam", "sgd", "small", "large", "other", "long", "null", "a text", "${seed}", "'8'"]


def plausible(rng: random.Random, lines: list[str]) -> None:
    """A value that some key of the tree takes, in place of another."""
    at = rng.choice([at for at, line in enumerate(lines) if ": " in line and line[:1] != "#"] or [0])
    lines[at] = f"{lines[at].partition(': ')[0]}: {rng.choice(PLAUSIBLE)}"


def random_tree(rng: random.Random) -> tuple[dict[str, bytes], str]:
    """The tree with one file mutated, once or a few times, and what was done."""
    name = rng.choice([*TREE, "job.yaml", "experiment/long.yaml"])
    lines, done = TREE[name].splitlines(), [name]
    for mutation in rng.choices([*MUTATIONS, *[plausible] * 12], k=rng.choice([1, 1, 1, 2, 3])):
        mutation(rng, lines)
        lines = lines or [""]
        done.append(mutation.__name__)
    content = "\n".join([*lines, ""]).encode("utf-8", "surrogateescape")
    if rng.random() < 0.08:
        content = rng.choice(BYTES)(rng, content)
        done.append("bytes")
    return {**{each: content.encode() for each, content in TREE.items()}, name: content}, ", ".join(done)


# ------------------------------------------------------------------------------------------------------- both verdicts


def by_check(folder: Path) -> tuple[int, str]:
    """The exit code of ``gpt2hydra check`` without files that are of no use, and what it reports."""
    try:
        report = check_tree(ConfTree(folder, {"job": Job}))
    except ConfigError as error:
        return 1, str(error)
    found = [each for each in report.problems if not OF_NO_USE.search(each.violation.rule)]
    return int(bool(found)), "\n".join(f"{each.where}: {each.violation}" for each in found)


def by_program(folder: Path, words: Sequence[str]) -> tuple[int, str]:
    """The exit code of the program's dry run, and what it prints on standard error."""

    def job(config: Job) -> None:
        raise AssertionError("a dry run starts nothing")

    err, code = io.StringIO(), 0
    typed = mock.patch.object(sys, "argv", ["job.py", *words, "dry_run=true"])
    with typed, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        try:
            gpt2hydra.main(config_name="job", config_path=folder)(_annotated(job))()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return code, err.getvalue()


def _annotated(function: Callable[[Job], None]) -> Callable[[Job], None]:
    function.__annotations__ = {"config": Job, "return": None}  # which the program's module would have as text
    return function


def command_lines(folder: Path) -> list[list[str]]:
    """The program by itself, and with each option that its defaults list offers instead of the usual one."""
    options = Composer("job", folder, once=True, config_class=Job).options
    choices = [(group, usual) for group, usual in options.default_choices().items() if not group.startswith("hydra/")]
    others = [[f"{group}={each}"] for group, usual in choices for each in options.of(group.partition("@")[0]) if each != usual]
    return [[], *others]


def refused(folder: Path) -> tuple[list[str], str] | None:
    """The first command line that the program refuses, and its report; None where it takes all."""
    for words in command_lines(folder):
        code, err = by_program(folder, words)
        if code:
            return words, err
    return None


@dataclass
class Comparison:
    """Trees that were tried, and what came of them."""

    accepted: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)

    def attempt(self, folder: Path, tree: dict[str, bytes], done: str) -> None:
        """Ask both about one tree."""
        for name, content in tree.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        shown = f"{done}\n{_shown(tree[done.partition(',')[0]])}"
        try:
            code, report = by_check(folder)
            program = refused(folder)
        except Exception:
            self.failures.append(f"{shown}\nraises\n{traceback.format_exc()}")
            return
        self.accepted += program is None
        self.refused += program is not None
        if program is None and code:
            self.failures.append(f"{shown}\ncheck refuses what the program takes\n{report}")
        elif program is not None and not code:
            words, err = program
            self.failures.append(f"{shown}\ncheck takes what job.py {' '.join(words)} refuses\n{err}")


def _shown(content: bytes) -> str:
    lines = content[:2000].decode("utf-8", "backslashreplace").split("\n")
    return "\n".join(f"  | {line if line.isprintable() else ascii(line)}" for line in lines)


def compared(trees: int, seed: int) -> Comparison:
    """So many random trees."""
    rng, found = random.Random(seed), Comparison()
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Hydra warns of what is odd, and composes it
        for number in range(trees):
            folder = Path(name, f"conf{number}")
            tree, done = random_tree(rng)
            while any(b"dry_run" in content or b"???" in content for content in tree.values()):  # that is for the command line
                tree, done = random_tree(rng)
            found.attempt(folder, tree, done)
            shutil.rmtree(folder)
    return found


def _progress(found: Comparison) -> Iterator[str]:
    yield from found.failures
    yield f"{found.accepted} trees accepted, {found.refused} refused, {len(found.failures)} disagreements"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = compared(options.trees, options.seed)
    print(*_progress(found), sep="\n\n")
    sys.exit(bool(found.failures))


if __name__ == "__main__":
    main()
