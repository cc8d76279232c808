"""``gpt2hydra explain``: print who set each value."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpt2hydra.commands.common_options import ProgramOverrides, add_app, add_config_dir, choose_application
from gpt2hydra.composition.compose import refusal
from gpt2hydra.composition.composer import Composition
from gpt2hydra.composition.hydra_state import hydra_state
from gpt2hydra.config.errors import ABSENT, DELETED, ConfigError, Setting, Violation, command_line
from gpt2hydra.utils.formatting import did_you_mean, format_value, to_jsonable

DESCRIPTION = "Print every value and who set it."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="train or generate, overrides, and a key to show only that one"
    )
    add_app(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_config_dir(parser)


def run(options: argparse.Namespace) -> None:
    """Print each value and who set it; then report the values that break a rule."""
    program = choose_application(options.app, options.words)
    keys = [word for word in options.words if "=" not in word and not word.startswith("~")]
    chosen = ProgramOverrides.of([word for word in options.words if word not in keys], options.config_dir, program)
    with chosen.words.showing_sources():
        found = find_histories(chosen, keys)
    print(json.dumps({each.key: each.to_dict() for each in found}, indent=2) if options.json else "\n".join(map(str, found)))
    try:
        chosen.compose()
    except ConfigError as error:  # a missing required value is no error here
        given = [violation for violation in error.violations if violation.value is not ABSENT]
        if given:
            sys.stdout.flush()
            raise ConfigError(given) from None


@dataclass(frozen=True)
class History:
    """The settings of one key, the one in force first. ``str()`` is for people, :meth:`to_dict` for JSON.

    ``value`` is the resolved interpolation; ``ABSENT`` if there is none, or if it must not be shown.
    """

    key: str
    settings: Sequence[Setting]
    value: object = ABSENT

    @property
    def is_traced(self) -> bool:
        """Whether the source of the value is known."""
        return self.settings[0].source.kind != "untraced"

    def __str__(self) -> str:
        last, *before = self.settings
        resolved = "" if self.value is ABSENT else f" = {format_value(self.value)}"
        return "\n".join(
            [f"{last}{resolved}   {last.source}", *(f"    was {format_value(each.value)}   {each.source}" for each in before)]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return ``value``, resolved unless it reads the environment, and ``set_by`` as in ``run.json``."""
        value = self.settings[0].value if self.value is ABSENT else self.value
        deleted = {} if value is not DELETED else {"deleted": True}
        return {
            **(deleted or {"value": to_jsonable(value)}),
            "set_by": [each.to_dict() for each in self.settings],
            "exact": self.is_traced,
        }


def find_histories(chosen: ProgramOverrides, keys: Sequence[str] = ()) -> list[History]:
    """Return the history of every key, or of each key in ``keys``; a section there stands for all its keys.

    Raises:
        ConfigError: the configuration cannot be composed, or has no such key.
    """
    with hydra_state():
        composition = chosen.composer.fold(chosen.words.texts)
        chosen.composer.add_hydra_composition(composition)
    if composition.composed is None:
        raise refusal(chosen.composer, composition)
    composition.provenance.correct_from(composition.composed)
    provenance = composition.provenance.with_sources(chosen.words.source)
    found = []
    for key in keys or [""]:
        chains = {each: chain for each, chain in provenance.settings.items() if not key or f"{each}.".startswith(f"{key}.")}
        if not chains:
            rule = f"unknown key{did_you_mean(key, [*provenance.settings, *provenance.sections])}"
            raise ConfigError([Violation(key, rule=rule, source=command_line(), action="word")])
        for each, chain in chains.items():
            value = _resolve_value(composition, each, chain[-1].value)
            found.append(History(each, chain[::-1], value))
    return found


def _resolve_value(composition: Composition, key: str, value: object) -> object:
    """Resolve an interpolation; ABSENT if there is none, or if it reads the environment."""
    is_plain = not isinstance(value, str) or "${" not in value or "oc.env" in value
    return ABSENT if is_plain else composition.composed_value(key)
