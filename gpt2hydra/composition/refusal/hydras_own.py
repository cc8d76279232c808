"""Hydra's own config: ``hydra.run.dir=x`` on the command line, ``hydra:`` in a file."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydras_section import hydras_schema
from gpt2hydra.composition.refusal.overrides import Overrides
from gpt2hydra.composition.refusal.values import nested
from gpt2hydra.config.errors import Violation, command_line
from gpt2hydra.utils.formatting import closest, reason_of
from gpt2hydra.utils.quoting import RawOverride


def refused_overrides(composer: Composer, overrides: Overrides) -> Iterator[Violation]:
    """The overrides of Hydra's own config that Hydra refuses."""
    plugins = [each.input_line or "" for each in overrides.choices if each.key_or_group.startswith("hydra/")]
    for override in overrides.hydra:
        try:
            composer.full([*plugins, override.input_line or ""], leave_sweeps_out=True)
        except Exception as error:
            yield _refused(override, error, composer.full(plugins).hydra)


def _refused(override: Override, error: Exception, known: Any) -> Violation:
    key, value, typed = override.get_key_element(), override.get_value_element_as_str(), command_line(override.input_line)
    *sections, last = key.lstrip("+~").split(".")[1:] or [""]
    for section in sections:
        known = known.get(section) if isinstance(known, DictConfig) and section in known else {}
    if not isinstance(known, DictConfig) or last in known:
        return Violation(key, value, f"is refused by Hydra: {reason_of(error.__cause__ or error).rstrip('.')}", typed)
    if OmegaConf.get_type(known) is dict and override.type is OverrideType.CHANGE:  # it may hold any key
        return Violation(key, value, "is new there and needs a plus", typed, {f"+{key}": RawOverride(value)})
    near = closest(last, map(str, known))
    meant = ".".join(["hydra", *sections, near or ""])
    rule = f"unknown key of Hydra's own config{f'; did you mean {meant}?' if near else ''}"
    return Violation(key, value, rule, typed, {meant: RawOverride(value)} if near else {})


def refused_keys(leaves: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any, str]]:
    """``(key, value, rule)`` of what a file sets below ``hydra`` and Hydra refuses."""
    known = copy.deepcopy(hydras_schema())
    for key, value in leaves:
        try:
            known.merge_with(nested(key, value))
        except Exception as error:
            yield key, value, f"is refused by Hydra: {reason_of(error)}"
