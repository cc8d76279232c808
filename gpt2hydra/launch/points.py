"""The points of a sweep: what Hydra's basic sweeper will run, or what an adaptive one may visit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig, OmegaConf

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_compat import grammar_reason
from gpt2hydra.composition.hydra_state import task_overrides
from gpt2hydra.composition.validate import config_class_of
from gpt2hydra.config.errors import ConfigError, Violation, collect_violations
from gpt2hydra.config.keys import rule_at
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.quoting import RawOverride

MOST_POINTS = 100_000
"""An adaptive sweeper's space larger than this is checked value by value instead of point by point."""

MOST_INTEGERS = 1_000
"""An interval of more integers than this is checked as one of real numbers: its ends and its middle."""

Point = list[str]
"""The overrides of one job."""


@dataclass(frozen=True)
class _Axis:
    """What one key may be, and what of that cannot be tried beforehand."""

    key: str
    values: list[str]
    note: str = ""

    @property
    def overrides(self) -> Point:
        return [f"{self.key}={value}" for value in self.values]


def is_basic(composed: DictConfig, role: str = "sweeper") -> bool:
    """Whether Hydra's basic sweeper, whose points are known, or its basic launcher, in this process, is to run."""
    basic = ConfigStore.instance().load(f"hydra/{role}/basic.yaml").node
    return bool(composed.hydra[role].get("_target_") == basic["_target_"])


def expand(composed: DictConfig, composer: Composer) -> tuple[list[Point], list[str]]:
    """Every point that the sweep can visit, as override lists, and what cannot be known beforehand.

    Raises:
        ConfigError: spaces to sweep over cannot be read, are empty, or are more than the sweeper can visit.
    """
    basic = is_basic(composed)
    by_key = {axis.key: axis for axis in _axes(composed, composer, basic)}  # of a key that is given twice, the last counts
    axes, notes = [axis.overrides for axis in by_key.values()], [axis.note for axis in by_key.values() if axis.note]
    count = math.prod(map(len, axes))
    if basic or count <= MOST_POINTS:
        return [list(point) for point in itertools.product(*axes)], notes
    notes.append(f"{count:,} combinations are too many to check: each value was checked with the first of the others")
    first = [axis[0] for axis in axes]
    return [[*first[:i], value, *first[i + 1 :]] for i, axis in enumerate(axes) for value in axis], notes


def _axes(composed: DictConfig, composer: Composer, basic: bool) -> Iterator[_Axis]:
    if not basic:
        yield from _search_space(_section(composed, "search_space", "its type, and low and high or choices"))
    params = _section(composed, "params", "what to sweep over: 1,2 or choice(1,2)")
    spaces = [(f"hydra.sweeper.params.{key}", f"{key}={value}") for key, value in params.items()]
    spaces += [(text.partition("=")[0], text) for text in task_overrides(composed.hydra)]
    config_class = composer.config_class or config_class_of(composed)
    problems: list[Violation] = []
    for key, text in spaces:
        with collect_violations(problems):
            yield _axis(_read(key, text, composer), basic, config_class)
    if problems:
        raise ConfigError(problems)


def _section(composed: DictConfig, name: str, content: str) -> Mapping[str, Any]:
    parameters = composed.hydra.sweeper.get(name) or {}
    if not isinstance(parameters, Mapping):
        raise ConfigError([Violation(f"hydra.sweeper.{name}", parameters, f"must map keys to {content}")])
    return parameters


def _read(key: str, text: str, composer: Composer) -> Override:
    try:
        return OverridesParser.create(config_loader=composer.loader).parse_overrides([text])[0]
    except Exception as error:
        rule = f"is nothing that Hydra can sweep over ({grammar_reason(error)})"
        raise ConfigError([Violation(key, text.partition("=")[2], rule)]) from None


def _axis(override: Override, basic: bool, config_class: type[Checked]) -> _Axis:
    key, value, text = override.get_key_element(), override.value(), (override.input_line or "").partition("=")[2]
    if not override.is_sweep_override():
        return _Axis(key, [override.get_value_element_as_str()])
    if isinstance(value, IntervalSweep):
        if basic:
            rule = "is not a list of values: Hydra's basic sweeper needs range(...), choice(...) or 1,2"
            raise ConfigError([Violation(key, text, rule)])
        rule_of_key = rule_at(config_class, key)
        if rule_of_key is not None and rule_of_key.kind is int and not isinstance(value.start, int):
            rule = "is an interval of real numbers, and this is an integer"
            low, high = sorted((value.start or 0, value.end or 0))
            raise ConfigError([Violation(key, text, rule, remedy={key: RawOverride(f"int(interval({low:g},{high:g}))")})])
        return _interval(key, value.start, value.end, text)
    values = list(override.sweep_string_iterator())
    if isinstance(value, RangeSweep) and not basic and not value.shuffle:
        values += _end(value.start, value.stop, value.step)
    if not values:
        raise ConfigError([Violation(key, text, "has no values to sweep over")])
    return _Axis(key, values)


def _end(start: Any, stop: Any, step: Any) -> list[str]:
    """The end of a range, where steps lead to it: adaptive sweepers take it as a value too."""
    steps = (stop - start) / step if step else -1
    return [str(stop)] if steps >= 0 and math.isclose(steps, round(steps), abs_tol=1e-9) else []


def _interval(key: str, low: Any, high: Any, text: str) -> _Axis:
    """All integers, if they are not too many; of real numbers the ends and a middle that is no integer."""
    if high < low:
        raise ConfigError(
            [Violation(key, text, "has no values: it begins above its end", remedy=_turned(key, low, high, text))]
        )
    if isinstance(low, int) and isinstance(high, int):
        if high - low < MOST_INTEGERS:
            return _Axis(key, [str(each) for each in range(low, high + 1)])
        middle: Any = (low + high) // 2
    else:
        middle = (low + high) / 2
        middle += 0.25 * (high - low) if middle == int(middle) else 0.0
    return _Axis(key, [str(low), str(middle), str(high)], f"{key}={text}: its ends and one value between were checked, not all")


def _turned(key: str, low: Any, high: Any, text: str) -> dict[str, object]:
    """The remedy of an interval that begins above its end, where it is written as one."""
    return {key: RawOverride(text.replace(f"({low},{high})", f"({high},{low})"))} if f"({low},{high})" in text else {}


def _search_space(space: Mapping[str, Any]) -> Iterator[_Axis]:
    """What Optuna's sweeper may read in a file: ``{type: int, low: 1, high: 4, step: 1}``, or ``choices``."""
    for key, declared in space.items():
        try:
            yield _of_search_space(key, OmegaConf.to_container(declared))
        except Exception as error:
            rule = "must be {type: int or float, low: ..., high: ...} or {type: categorical, choices: [...]}"
            raise ConfigError([Violation(f"hydra.sweeper.search_space.{key}", str(declared), rule)]) from error


def _of_search_space(key: str, declared: Any) -> _Axis:
    kind, step = str(getattr(declared["type"], "name", declared["type"])), declared.get("step")
    if kind == "categorical":
        return _Axis(key, [str(each) for each in declared["choices"]])
    convert = {"int": int, "float": float}[kind]
    low, high = convert(declared["low"]), convert(declared["high"])
    if step is None or declared.get("log"):
        return _interval(key, low, high, f"{low} to {high}")
    count = math.floor((high - low) / step + 1e-9)
    return _Axis(key, [str(convert(low + each * step)) for each in range(count + 1)])
