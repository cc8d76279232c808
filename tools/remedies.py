"""Pastes every remedy of random wrong command lines into bash, and sees that each cures what it names and brings nothing new.

Run: ``python -m tools.remedies --lists 2000``, some minutes. bash splits and unquotes what was printed; the
words that it makes of it are then given to the program as a dry run, here rather than in a process for each.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import gpt2hydra
from gpt2hydra.config.keys import field_at, keys_of
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.sizing import timing
from gpt2hydra.utils.formatting import format_value

SIGNS = " ,&'\"();$*?!#|<>[]{}=\\~"
WORDS = ("quickstart", "xl", "bytes", "none", "gpu", "To", "be")
GROUPS = ("model", "tokenizer", "hardware", "experiment")
OPTIONS = ("large", "lrage", "small,medium", "gpt2", "bytes", "null", "h100", "quickstart", "[small,large]", "shakespeare")


def random_command(rng: random.Random) -> list[str]:
    """One to four overrides, most of them wrong; one of a key, since a person replaces all of it by what is to be typed."""
    overrides = [_random_override(rng) for _ in range(rng.randint(1, 4))]
    return list({each.lstrip("+~").partition("=")[0]: each for each in overrides}.values())


def _random_override(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.08:
        return rng.choice(WORDS)
    if kind < 0.25:
        return f"{rng.choice(GROUPS)}={rng.choice(OPTIONS)}"
    keys = [key for key in keys_of(TrainConfig) if key not in ("resume", "dry_run", "preflight", "data.cache_dir")]
    key = rng.choice(keys)
    field = field_at(TrainConfig, key)
    assert field is not None
    value = _random_value(rng, field.metadata["rule"])
    if rng.random() < 0.2:  # misspelt
        cut = rng.randrange(len(key) - 1)
        key = key[:cut] + key[cut + 1 :]
    return f"{rng.choice(('', '', '', '', '+', '++'))}{key}={value}"


def _random_value(rng: random.Random, rule: Any) -> str:
    if rule.kind is str and not rule.choices:
        return "".join(rng.choice("ab.txt" + SIGNS) for _ in range(rng.randint(1, 10)))
    numbers = [str(rng.randint(-2, 2000)), f"{rng.random() * 3:.3g}", "1,000", "0,01", "7", "12.0", "nan", "1e9"]
    words = ["abc", "true", "yes", "null", "${model.n_head}", *(each[:-1] for each in rule.choices), *rule.choices]
    return str(rng.choice([*numbers, *words]))


# ------------------------------------------------------------------------------------------------------- the dry run


Facts = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Outcome:
    """Exit code and violations, from JSON; those of a sweep are the points' together."""

    code: int
    violations: list[dict[str, Any]]
    err: str

    @property
    def facts(self) -> Facts:
        """``(key, what was typed, or the value)`` of each violation."""
        typed = {each["key"]: each.get("source", {}).get("override") for each in self.violations}
        return frozenset((each["key"], typed[each["key"]] or str(each.get("value"))) for each in self.violations)


def dry_run(words: Sequence[str]) -> Outcome:
    """``python train.py WORDS dry_run=true``."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    typed = mock.patch.object(sys, "argv", ["train.py", *words, "dry_run=true"])
    untimed = mock.patch.object(timing, "step_seconds", return_value=1.0)  # a shape takes a second to measure, and gigabytes
    with typed, untimed, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            gpt2hydra.main(config_name="train")(_nothing)()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    lines = [json.loads(line) for line in err.getvalue().splitlines() if line.startswith("{")]
    points = [point for line in lines for point in line.get("invalid", [])]
    return Outcome(code, [each for part in (*lines, *points) for each in part.get("violations", [])], err.getvalue())


def _nothing(config: Any) -> None:
    raise AssertionError("a dry run starts nothing")


# ------------------------------------------------------------------------------------------------------------ pasting


def pasted(words: Sequence[str], violation: dict[str, Any]) -> str:
    """The command line, for bash, with the remedy in place of what it is for."""
    if violation["multirun"]:
        return str(violation["suggestion"])
    typed, remedy = violation.get("source", {}).get("override"), violation["suggestion"]
    if typed in words:
        at = words.index(typed)
        return " ".join([*map(shlex.quote, words[:at]), remedy, *map(shlex.quote, words[at + 1 :])])
    cut = typed.split(" ") if typed is not None else []  # a text that was cut at its spaces
    return " ".join([*(shlex.quote(word) for word in words if word not in cut), remedy])


def read_by_bash(commands: Sequence[str]) -> list[list[str]]:
    """The words that bash makes of each command line."""
    script = "".join(f"printf '%s\\0' {command}; printf '\\n\\0'\n" for command in commands)
    printed = subprocess.run(["bash"], input=script, capture_output=True, text=True, check=True).stdout
    return [part.split("\0")[:-1] for part in printed.split("\n\0")[:-1]]


def failures(lists: int, seed: int) -> Iterator[str]:
    """What is wrong with the remedies of so many random command lines."""
    rng = random.Random(seed)
    tried = []
    for _ in range(lists):
        words = random_command(rng)
        before = dry_run(words)
        if before.code == 1 and not before.violations:
            yield f"{shlex.join(words)}\n  is refused without a violation: {before.err[:300]}"
        remedies = [each for each in before.violations if each.get("suggestion") and "=..." not in each["suggestion"]]
        tried += [(words, before, each, pasted(words, each)) for each in remedies if "=FOLDER" not in each["suggestion"]]
    answers = read_by_bash([command for *_, command in tried])
    for (words, before, violation, _), answer in zip(tried, answers, strict=True):
        after = dry_run(answer)
        same = any(each["key"] == violation["key"] and each["rule"] == violation["rule"] for each in after.violations)
        if same or after.facts - before.facts or (after.code and not after.violations):
            new = sorted(after.facts - before.facts)
            yield (
                f"{shlex.join(words)}\n  {violation['key']}: {violation['rule']}\n"
                f"  try: {format_value(violation['suggestion'], 200)}\n"
                f"  pasted: {shlex.join(answer)}\n  {'is not cured' if same else f'brings {new}'}"
                f" (exit code {after.code})"
            )
    print(f"{lists} command lines, {len(tried)} remedies", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lists", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["GPT2HYDRA_ERRORS"] = "json"
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("a.txt").write_text("A text that is there.\n" * 2000, encoding="utf-8")
        found = list(failures(options.lists, options.seed))
    print("\n\n".join(found) or "every remedy cured what it named")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
