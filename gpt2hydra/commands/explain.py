"""``gpt2hydra explain``: who set each value."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpt2hydra.commands.common_options import ProgramConfig, add_app, add_config_dir, program_meant
from gpt2hydra.composition.compose import refusal
from gpt2hydra.composition.composer import Composition
from gpt2hydra.composition.hydra_state import hydra_state
from gpt2hydra.config.errors import ABSENT, DELETED, ConfigError, Setting, Violation, command_line
from gpt2hydra.utils.formatting import did_you_mean, plain, show

DESCRIPTION = "Print every value and who set it."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="train or generate, overrides, and a key to show only that one"
    )
    add_app(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_config_dir(parser)


def run(options: argparse.Namespace) -> None:
    """Print each value and who set it; a value that breaks a rule is refused after that."""
    program = program_meant(options.app, options.words)
    keys = [word for word in options.words if "=" not in word and not word.startswith("~")]
    chosen = ProgramConfig.of([word for word in options.words if word not in keys], options.config_dir, program)
    with chosen.words.reported():
        found = histories(chosen, keys)
    print(json.dumps({each.key: each.to_dict() for each in found}, indent=2) if options.json else "\n".join(map(str, found)))
    try:
        chosen.checked()
    except ConfigError as error:  # a value that is to be given yet is no mistake here
        given = [violation for violation in error.violations if violation.value is not ABSENT]
        if given:
            sys.stdout.flush()
            raise ConfigError(given) from None


@dataclass(frozen=True)
class History:
    """The settings of one key, the one in force first. ``str()`` is for people, :meth:`to_dict` for programs.

    ``value`` is what an interpolation became, ``ABSENT`` where there is none, or it is not to be shown.
    """

    key: str
    settings: Sequence[Setting]
    value: object = ABSENT

    @property
    def exact(self) -> bool:
        """Whether it is known who set the value."""
        return self.settings[0].source.kind != "untraced"

    def __str__(self) -> str:
        last, *before = self.settings
        became = "" if self.value is ABSENT else f" = {show(self.value)}"
        return "\n".join(
            [f"{last}{became}   {last.source}", *(f"    was {show(each.value)}   {each.source}" for each in before)]
        )

    def to_dict(self) -> dict[str, Any]:
        """``value`` is resolved, but for what came from the environment; ``set_by`` is as in ``run.json``."""
        value = self.settings[0].value if self.value is ABSENT else self.value
        deleted = {} if value is not DELETED else {"deleted": True}
        return {
            **(deleted or {"value": plain(value)}),
            "set_by": [each.to_dict() for each in self.settings],
            "exact": self.exact,
        }


def histories(chosen: ProgramConfig, keys: Sequence[str] = ()) -> list[History]:
    """The history of every key, or of ``keys`` and what is below them.

    Raises:
        ConfigError: the configuration does not compose, or has no such key.
    """
    with hydra_state():
        composition = chosen.composer.fold(chosen.words.texts)
        chosen.composer.ask_hydra(composition)
    if composition.composed is None:
        raise refusal(chosen.composer, composition)
    composition.provenance.verify(composition.composed)
    provenance = composition.provenance.with_sources(chosen.words.source)
    found = []
    for key in keys or [""]:
        chains = {each: chain for each, chain in provenance.settings.items() if not key or f"{each}.".startswith(f"{key}.")}
        if not chains:
            rule = f"unknown key{did_you_mean(key, [*provenance.settings, *provenance.sections])}"
            raise ConfigError([Violation(key, rule=rule, source=command_line(), action="word")])
        for each, chain in chains.items():
            value = _resolved(composition, each, chain[-1].value)
            found.append(History(each, chain[::-1], value))
    return found


def _resolved(composition: Composition, key: str, value: object) -> object:
    """What an interpolation became, but for what came from the environment."""
    plain_value = not isinstance(value, str) or "${" not in value or "oc.env" in value
    return ABSENT if plain_value else composition.resolved(key)
