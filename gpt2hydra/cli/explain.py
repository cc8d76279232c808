"""What ``gpt2hydra explain`` tells: every value, who set it, and what that replaced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from omegaconf import DictConfig, OmegaConf

from gpt2hydra.composition.composer import Composer, hydra_state
from gpt2hydra.composition.provenance import trace
from gpt2hydra.composition.refusal import explain_refusal
from gpt2hydra.config.fields import ConfigError, Violation, did_you_mean, show


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
        provenance = trace(composer.loader, composer.config_name, list(overrides))
        provenance.verify(composed)
    for key in keys or [""]:
        chains = {each: chain for each, chain in provenance.settings.items() if not key or f"{each}.".startswith(f"{key}.")}
        if not chains:
            known = [*provenance.settings, *provenance.sections]
            raise ConfigError([Violation(key, rule=f"unknown key{did_you_mean(key, known)}", origin="on the command line")])
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
