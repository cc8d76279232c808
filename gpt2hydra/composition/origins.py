"""Who set what, in the words of a report: origins for violations, and what is not the default."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from gpt2hydra.composition.composer import Composer, hydra_state, parse
from gpt2hydra.composition.provenance import Provenance, trace
from gpt2hydra.config.checked import Checked
from gpt2hydra.config.errors import ABSENT, COMMAND_LINE, Violation, assignment
from gpt2hydra.config.keys import field_at, leaves
from gpt2hydra.config.words import show

SET = f"set by {COMMAND_LINE}"


def with_origins(composer: Composer, overrides: Sequence[str], violations: Sequence[Violation]) -> list[Violation]:
    """``violations`` of a config that composes, each with who set its key."""
    with hydra_state():
        provenance = trace(composer.loader, composer.config_name, list(overrides))
    return [dataclasses.replace(each, origin=each.origin or provenance.origin(each.key)) for each in violations]


def with_origin(violation: Violation, provenance: Provenance, root: type[Checked]) -> Violation:
    """The violation with who set its key and, where it has no better remedy, the value that was replaced."""
    field = field_at(root, violation.key)
    origin = violation.origin or provenance.origin(violation.key)
    suggestion = violation.suggestion
    if field is not None and "computed" in field.metadata:
        return violation if violation.origin else dataclasses.replace(violation, origin=origin.partition("   (was")[0])
    if (violation.value is not ABSENT and not suggestion) or suggestion.endswith("=..."):
        suggestion = _as_before(violation.key, field, provenance) or suggestion
    if violation.origin.startswith(SET) and provenance.origin(violation.key).startswith(violation.origin):
        origin = provenance.origin(violation.key)  # the same, and what it replaced
    if SET not in origin:
        origin += _who_set_the_other(violation.rule, provenance)
    return dataclasses.replace(violation, origin=origin, suggestion=suggestion)


def _who_set_the_other(rule: str, provenance: Provenance) -> str:
    """Where a rule over several keys blames one that stood there before: the command line's override of another."""
    for key in re.findall(r"([a-z_.]+) = ", rule):
        origin = provenance.origin(key).partition("   (was")[0]
        if origin.startswith(SET):
            return f"; {key} is {origin}"
    return ""


def _as_before(key: str, field: dataclasses.Field[Any] | None, provenance: Provenance) -> str:
    """An override with the newest earlier value that obeys the rule, the schema's default at the last; or nothing."""
    if field is None or "rule" not in field.metadata:
        return ""
    earlier = [setting.value for setting in reversed(provenance.settings.get(key, ())[:-1])]
    obeying = (value for value in (*earlier, field.default) if field.metadata["rule"].problem(value) is None)
    return next((assignment(key, value) for value in obeying), "")


def changes(composer: Composer, overrides: Sequence[str], config: Checked) -> list[tuple[str, str, str]]:
    """``(key, value, who set it)`` of every value that differs from the schema's default."""
    with hydra_state():
        provenance = trace(composer.loader, composer.config_name, list(overrides))
    found = []
    for key, value in leaves(config):
        field = field_at(type(config), key)
        if field is not None and "rule" in field.metadata and value != field.default:
            found.append((key, show(value), provenance.origin(key).partition("   (was")[0]))
    return found


def overruled(composer: Composer, overrides: Sequence[str]) -> list[str]:
    """A note for each option chosen on the command line of which nothing is left: an experiment replaced it all."""
    choices = [each for each in map(parse, overrides) if composer.is_group(each.key_or_group) and isinstance(each.value(), str)]
    if len(choices) < 2:
        return []
    with hydra_state():
        chains = trace(composer.loader, composer.config_name, list(overrides)).settings.values()
    notes = []
    for choice in choices:
        file = f"{choice.key_or_group}/{choice.value()}.yaml:"
        set_there = [chain for chain in chains if any(file in setting.source for setting in chain)]
        winners = {chain[-1].source.rpartition(":")[0] for chain in set_there}
        if set_there and not any(file in chain[-1].source or COMMAND_LINE in chain[-1].source for chain in set_there):
            keys = ", ".join(chain[-1].key for chain in set_there)
            notes.append(f"note: {choice.input_line} has no effect: {', '.join(sorted(winners))} sets {keys}")
    return notes
