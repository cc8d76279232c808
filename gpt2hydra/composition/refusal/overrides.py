"""The command line, override by override: what each one sets, and what is wrong with it by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from hydra.core.override_parser.types import Override, OverrideType

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_errors import grammar, no_override
from gpt2hydra.composition.hydra_state import parse
from gpt2hydra.config.errors import ABSENT, Violation, command_line
from gpt2hydra.utils.formatting import closest
from gpt2hydra.utils.quoting import RawOverride


@dataclass
class Overrides:
    """Overrides by what they set, but for those with ``violations``."""

    choices: list[Override] = field(default_factory=list)
    """Of an option of a group: ``model=large``."""
    values: list[Override] = field(default_factory=list)
    """Of a key: ``model.n_head=7``, ``model={n_head: 7}``."""
    hydra: list[Override] = field(default_factory=list)
    """Of a key of Hydra's own: ``hydra.run.dir=x``."""
    violations: list[Violation] = field(default_factory=list)


def sort(composer: Composer, texts: Sequence[str]) -> Overrides:
    """Parse each override and put it where it belongs."""
    sorted_ = Overrides()
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.lstrip("+~").strip()
        if not key or (not equals and not text.startswith("~")):
            sorted_.violations.append(no_override(text))
            continue
        try:
            override = parse(text)
            override.value()
        except Exception as error:  # Hydra's grammar raises its own, and Python's where a number has 5,000 digits
            sorted_.violations.append(Violation(key, value, grammar(error), command_line(text)))
            continue
        if override.is_sweep_override():
            sorted_.violations.append(_sweep(override, key, value))
        elif _is_choice(composer, override):
            _sort_choice(composer, override, sorted_)
        else:
            (sorted_.hydra if override.is_hydra_override() else sorted_.values).append(override)
    return sorted_


def _is_choice(composer: Composer, override: Override) -> bool:
    """Whether it chooses an option: of a group of this config, or of another that it adds."""
    if isinstance(override.value(), dict) or not composer.options.is_group(override.key_or_group):
        return False
    usual = composer.options.usual()
    if override.is_hydra_override():
        return True
    return override.is_add() or override.package is not None or not usual or override.key_or_group in usual


def _sweep(override: Override, key: str, value: str) -> Violation:
    """The violation of an override with several values, where no sweep was asked for."""
    typed = command_line(override.input_line)
    if override.is_hydra_override():
        return Violation(key, value, "is a list of values: Hydra's own config cannot be swept over", typed)
    rule = "is a list of values to sweep over, which needs -m (--multirun)"
    return Violation(key, value, rule, typed, {override.get_key_element(): RawOverride(value)}, multirun=True)


def _sort_choice(composer: Composer, override: Override, sorted_: Overrides) -> None:
    key, _, value = (override.input_line or "").partition("=")
    key, chosen, typed = key.lstrip("+~").strip(), override.value(), command_line(override.input_line)
    options = composer.options.of(override.key_or_group)
    names = [chosen] if isinstance(chosen, str) else chosen if isinstance(chosen, list) else []
    wrong = [name for name in names if name not in options and "/" not in str(name)]
    if wrong or (not names and not override.is_delete()):
        near = closest(str(chosen), options)
        rule, remedy = f"must be one of {', '.join(options)}", {key: near} if near else composer.options.remedy(key)
        if chosen is None and not remedy:
            rule, remedy = f"{rule}, or left out", {key: ABSENT}
        sorted_.violations.append(Violation(key, value, rule, typed, remedy))
        if near and isinstance(chosen, str) and override.package is None:  # what else is wrong is judged by what was meant
            sorted_.choices.append(parse(f"{key}={near}"))
    elif override.is_add() and override.package is None and key in composer.options.usual():
        rule = "is chosen already; leave out the plus"
        sorted_.violations.append(Violation(key, value, rule, typed, {key: RawOverride(value)}))
        sorted_.choices.append(dataclasses.replace(override, type=OverrideType.CHANGE))
    else:
        sorted_.choices.append(override)
