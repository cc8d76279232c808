"""What ``gpt2hydra explain`` tells: every value, who set it, and what that replaced."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from omegaconf import DictConfig, OmegaConf

from gpt2hydra.composition.compose import compose_and_check
from gpt2hydra.composition.composer import Composer, hydra_state
from gpt2hydra.composition.refusal import explain_refusal
from gpt2hydra.composition.schema import ROOTS
from gpt2hydra.composition.yaml_traps import as_typed
from gpt2hydra.config.errors import ABSENT, ConfigError, Violation, command_line
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.words import did_you_mean, show


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of ``gpt2hydra``."""
    parser = commands.add_parser("explain", help="who set each value", description="Print every value and who set it.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="train or generate, OVERRIDES, and a KEY to look at alone")
    parser.add_argument("--config-dir", metavar="DIR", help="one more folder of YAML files, as for train.py")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print what there is to tell; a value that breaks a rule is refused after it."""
    name = options.words.pop(0) if options.words[:1] in (["train"], ["generate"]) else "train"
    keys = [word for word in options.words if "=" not in word and not word.startswith("~")]
    overrides = as_typed([word for word in options.words if word not in keys], ROOTS[f"{name}_schema"])
    composer = Composer(name, CONF_DIR, options.config_dir, frozen=True)
    print("\n".join(explained(composer, overrides, keys)))
    try:
        compose_and_check(composer, overrides)
    except ConfigError as error:  # a value that is to be given yet is no mistake here
        given = [violation for violation in error.violations if violation.value is not ABSENT]
        if given:
            sys.stdout.flush()
            raise ConfigError(given) from None


def explained(composer: Composer, overrides: Sequence[str], keys: Sequence[str] = ()) -> Iterator[str]:
    """Lines that tell every value, or those of ``keys`` and below, who set it, and what that replaced.

    Raises:
        ConfigError: the configuration does not compose, or has no such key.
    """
    with hydra_state():
        try:
            composed = composer.full(overrides)
        except Exception as error:
            raise explain_refusal(composer, overrides, error) from error
        provenance = composer.trace(overrides)
        provenance.verify(composed)
    for key in keys or [""]:
        chains = {each: chain for each, chain in provenance.settings.items() if not key or f"{each}.".startswith(f"{key}.")}
        if not chains:
            known = [*provenance.settings, *provenance.sections]
            rule = f"unknown key{did_you_mean(key, known)}"
            raise ConfigError([Violation(key, rule=rule, source=command_line(), action="word")])
        for each, (*before, last) in chains.items():
            inexact = "   (could not be traced exactly)" if each in provenance.inexact else ""
            yield f"{each} = {show(last.value)}{_resolved(composed, each, last.value)}   {last.source}{inexact}"
            yield from (f"    was {show(setting.value)}   {setting.source}" for setting in reversed(before))


def _resolved(composed: DictConfig, key: str, value: object) -> str:
    """What an interpolation became, but for what came from the environment."""
    if not isinstance(value, str) or "${" not in value or "oc.env" in value:
        return ""
    try:
        return f" = {show(OmegaConf.select(composed, key))}"
    except Exception:  # resolvers raise what they like; the gate names it
        return ""
