"""``gpt2hydra diff``: compare two runs, checkpoints or override lists."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gpt2hydra.commands.common_options import add_app
from gpt2hydra.commands.config_snapshot import ConfigSnapshot, read_snapshot
from gpt2hydra.config.errors import ABSENT, ConfigError, Violation
from gpt2hydra.config.fingerprint import affects_result
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.run import GenerateConfig
from gpt2hydra.utils.formatting import format_value, to_jsonable

PART_TITLES = {"model": "the model", "run": "the run", "aside": "does not affect the result"}
"""Part of the configuration → its title, in the order of the report."""


DESCRIPTION = "Print the keys that differ, with both values and who set them. Exits with 0 if no key differs, else with 1."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    for name in ("a", "b"):
        parser.add_argument(
            name,
            metavar=name.upper(),
            help="a run directory, a checkpoint, or quoted overrides: 'model=large training.seed=1' ('' for the defaults)",
        )
    add_app(parser)
    parser.add_argument("--config-dir", metavar="DIR", help="one more folder of YAML files for overrides, as for train.py")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Print the differences; exit with 1 if there are any."""
    snapshots: list[ConfigSnapshot] = []
    violations: list[Violation] = []
    for each in (options.a, options.b):
        try:
            snapshots.append(read_snapshot(each, options.app, options.config_dir))
        except ConfigError as error:
            violations += error.violations
    if violations:
        raise ConfigError(dict.fromkeys(violations))
    a, b = snapshots
    found = find_differences(a, b)
    print(json.dumps(to_dict(a, b, found), indent=2) if options.json else "\n".join(format_differences(a, b, found)))
    if found:
        sys.stdout.flush()
        sys.exit(1)


# -------------------------------------------------------------------------------------------------------- differences


@dataclass(frozen=True)
class Difference:
    """A key with two values; ABSENT if a snapshot does not have the key."""

    key: str
    part: str
    a: Any
    b: Any


def find_differences(a: ConfigSnapshot, b: ConfigSnapshot) -> list[Difference]:
    """Return every key that differs, in the order of the report and then of the schema.

    Raises:
        ConfigError: the configurations are of different classes.
    """
    if GPT2Config in (a.config_class, b.config_class) and GenerateConfig not in (a.config_class, b.config_class):
        a, b = a.model_only(), b.model_only()
    if a.config_class is not b.config_class:
        rule = "cannot be compared, because they have different keys"
        raise ConfigError([Violation(f"{a}, and {b}", rule=rule)])
    found = []
    for key in dict.fromkeys([*a.values, *b.values]):
        one, other = a.values.get(key, ABSENT), b.values.get(key, ABSENT)
        if one is ABSENT or other is ABSENT or one != other or isinstance(one, bool) != isinstance(other, bool):
            part = "model" if key.startswith("model.") else "run" if affects_result(a.config_class, key) else "aside"
            found.append(Difference(key, part, one, other))
    return sorted(found, key=lambda each: [*PART_TITLES].index(each.part))


# ------------------------------------------------------------------------------------------------------------ the report


def format_differences(a: ConfigSnapshot, b: ConfigSnapshot, found: Sequence[Difference]) -> Iterator[str]:
    """Yield the lines: the two snapshots, each key that differs with its sources, the results."""
    for letter, each in (("A", a), ("B", b)):
        yield f"{letter}  {each}"
        if each.fingerprints:
            yield f"   {', '.join(f'{part} {digits}' for part, digits in each.fingerprints.items())}"
    if a.config_class is not b.config_class:
        yield "only the models are compared: one of the two has no other keys"
    if not found:
        yield "\nno key differs"
    width = max((len(row.key) for row in found), default=0)
    values = max((len(_format_value(value)) for row in found for value in (row.a, row.b)), default=0)
    for part, title in PART_TITLES.items():
        rows = [row for row in found if row.part == part]
        if rows:
            yield f"\n{title}"
        for row in rows:
            yield f"  {row.key:<{width}}  A  {_format_value(row.a):<{values}}  {a.set_by.get(row.key, '')}".rstrip()
            yield f"  {'':<{width}}  B  {_format_value(row.b):<{values}}  {b.set_by.get(row.key, '')}".rstrip()
    results = [key for key in dict.fromkeys([*a.results, *b.results]) if a.results.get(key) != b.results.get(key)]
    if not (a.results and b.results):
        return
    if results:
        yield "\nresults"
    names = max(map(len, results), default=0)
    for key in results:
        yield f"  {key.replace('_', ' '):<{names}}  A  {_format_number(a.results.get(key))}"
        yield f"  {'':<{names}}  B  {_format_number(b.results.get(key))}"


def _format_value(value: object) -> str:
    return "(not there)" if value is ABSENT else format_value(value, 60)


def _format_number(value: object) -> str:
    if value is None:
        return "(none)"
    return f"{value:,.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def to_dict(a: ConfigSnapshot, b: ConfigSnapshot, found: Sequence[Difference]) -> dict[str, Any]:
    """Return what ``--json`` prints."""

    def head(snapshot: ConfigSnapshot) -> dict[str, Any]:
        return {
            "name": snapshot.name,
            "what": snapshot.description,
            "fingerprints": snapshot.fingerprints,
            "results": snapshot.results,
        }

    def setting(snapshot: ConfigSnapshot, key: str, value: object) -> dict[str, Any] | None:
        if value is ABSENT:
            return None
        source = snapshot.set_by.get(key)
        return {"value": to_jsonable(value), "source": source.to_dict() if source else None}

    rows = [
        {"key": each.key, "part": each.part, "a": setting(a, each.key, each.a), "b": setting(b, each.key, each.b)}
        for each in found
    ]
    return {"same": not found, "a": head(a), "b": head(b), "differences": rows}
