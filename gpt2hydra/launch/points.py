"""The points of a sweep: those that Hydra's basic sweeper runs, or that an adaptive sweeper may visit."""

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

MAX_CHECKED_POINTS = 100_000
"""If an adaptive sweeper has more points, each value is checked once, not each point."""

MAX_CHECKED_INTEGERS = 1_000
"""If an interval has more integers, only its ends and its middle are checked, as for real numbers."""

Point = list[str]
"""The overrides of one point."""


@dataclass(frozen=True)
class _Axis:
    """The values of one key to check, and a note if these are not all."""

    key: str
    values: list[str]
    note: str = ""

    @property
    def overrides(self) -> list[str]:
        return [f"{self.key}={value}" for value in self.values]


def uses_basic(composed: DictConfig, role: str = "sweeper") -> bool:
    """Whether the sweeper (or launcher) is Hydra's basic one.

    The basic sweeper's points are known before the first job; the basic launcher's jobs run in this process.
    """
    basic = ConfigStore.instance().load(f"hydra/{role}/basic.yaml").node
    return bool(composed.hydra[role].get("_target_") == basic["_target_"])


def expand_points(composed: DictConfig, composer: Composer) -> tuple[list[Point], list[str]]:
    """Return the points that the sweep can visit, and notes on points that are not checked.

    Raises:
        ConfigError: the values of a key cannot be read, are empty, or do not suit the sweeper.
    """
    basic = uses_basic(composed)
    by_key = {axis.key: axis for axis in _read_axes(composed, composer, basic)}  # if a key is given twice, the last one counts
    axes, notes = [axis.overrides for axis in by_key.values()], [axis.note for axis in by_key.values() if axis.note]
    count = math.prod(map(len, axes))
    if basic or count <= MAX_CHECKED_POINTS:
        return [list(point) for point in itertools.product(*axes)], notes
    notes.append(f"{count:,} combinations are too many to check: each value was checked with the first value of each other key")
    first = [axis[0] for axis in axes]
    return [[*first[:i], value, *first[i + 1 :]] for i, axis in enumerate(axes) for value in axis], notes


def _read_axes(composed: DictConfig, composer: Composer, basic: bool) -> Iterator[_Axis]:
    if not basic:
        yield from _read_search_space(_read_section(composed, "search_space", "its type, and low and high or choices"))
    params = _read_section(composed, "params", "the values to sweep over: 1,2 or choice(1,2)")
    spaces = [(f"hydra.sweeper.params.{key}", f"{key}={value}") for key, value in params.items()]
    spaces += [(text.partition("=")[0], text) for text in task_overrides(composed.hydra)]
    config_class = composer.config_class or config_class_of(composed)
    problems: list[Violation] = []
    for key, text in spaces:
        with collect_violations(problems):
            yield _read_axis(_parse_override(key, text, composer), basic, config_class)
    if problems:
        raise ConfigError(problems)


def _read_section(composed: DictConfig, name: str, content: str) -> Mapping[str, Any]:
    parameters = composed.hydra.sweeper.get(name) or {}
    if not isinstance(parameters, Mapping):
        raise ConfigError([Violation(f"hydra.sweeper.{name}", parameters, f"must map keys to {content}")])
    return parameters


def _parse_override(key: str, text: str, composer: Composer) -> Override:
    try:
        return OverridesParser.create(config_loader=composer.loader).parse_overrides([text])[0]
    except Exception as error:
        rule = f"cannot be swept over ({grammar_reason(error)})"
        raise ConfigError([Violation(key, text.partition("=")[2], rule)]) from None


def _read_axis(override: Override, basic: bool, config_class: type[Checked]) -> _Axis:
    key, value, text = override.get_key_element(), override.value(), (override.input_line or "").partition("=")[2]
    if not override.is_sweep_override():
        return _Axis(key, [override.get_value_element_as_str()])
    if isinstance(value, IntervalSweep):
        if basic:
            rule = "is not a list of values: Hydra's basic sweeper needs range(...), choice(...) or 1,2"
            raise ConfigError([Violation(key, text, rule)])
        rule_of_key = rule_at(config_class, key)
        if rule_of_key is not None and rule_of_key.kind is int and not isinstance(value.start, int):
            rule = "is an interval of real numbers, but the key is an integer"
            low, high = sorted((value.start or 0, value.end or 0))
            raise ConfigError([Violation(key, text, rule, remedy={key: RawOverride(f"int(interval({low:g},{high:g}))")})])
        return _interval_axis(key, value.start, value.end, text)
    values = list(override.sweep_string_iterator())
    if isinstance(value, RangeSweep) and not basic and not value.shuffle:
        values += _inclusive_end(value.start, value.stop, value.step)
    if not values:
        raise ConfigError([Violation(key, text, "has no values to sweep over")])
    return _Axis(key, values)


def _inclusive_end(start: Any, stop: Any, step: Any) -> list[str]:
    """Return ``[stop]`` if the steps of a range reach it, as adaptive sweepers include it; else ``[]``."""
    steps = (stop - start) / step if step else -1
    return [str(stop)] if steps >= 0 and math.isclose(steps, round(steps), abs_tol=1e-9) else []


def _interval_axis(key: str, low: Any, high: Any, text: str) -> _Axis:
    """Return all integers of an interval, if not too many; of reals the ends and a non-integer middle."""
    if high < low:
        raise ConfigError(
            [Violation(key, text, "has no values: its start is above its end", remedy=_swap_ends_remedy(key, low, high, text))]
        )
    if isinstance(low, int) and isinstance(high, int):
        if high - low < MAX_CHECKED_INTEGERS:
            return _Axis(key, [str(each) for each in range(low, high + 1)])
        middle: Any = (low + high) // 2
    else:
        middle = (low + high) / 2
        middle += 0.25 * (high - low) if middle == int(middle) else 0.0
    return _Axis(
        key, [str(low), str(middle), str(high)], f"{key}={text}: only its ends and one value between them were checked"
    )


def _swap_ends_remedy(key: str, low: Any, high: Any, text: str) -> dict[str, object]:
    """Return the remedy of an interval whose start is above its end; empty if not typed as ``(low,high)``."""
    return {key: RawOverride(text.replace(f"({low},{high})", f"({high},{low})"))} if f"({low},{high})" in text else {}


def _read_search_space(space: Mapping[str, Any]) -> Iterator[_Axis]:
    """Yield an axis for each key of Optuna's ``search_space``: ``{type: int, low: 1, high: 4, step: 1}``."""
    for key, declared in space.items():
        try:
            yield _search_space_axis(key, OmegaConf.to_container(declared))
        except Exception as error:
            rule = "must be {type: int or float, low: ..., high: ...} or {type: categorical, choices: [...]}"
            raise ConfigError([Violation(f"hydra.sweeper.search_space.{key}", str(declared), rule)]) from error


def _search_space_axis(key: str, declared: Any) -> _Axis:
    kind, step = str(getattr(declared["type"], "name", declared["type"])), declared.get("step")
    if kind == "categorical":
        return _Axis(key, [str(each) for each in declared["choices"]])
    convert = {"int": int, "float": float}[kind]
    low, high = convert(declared["low"]), convert(declared["high"])
    if step is None or declared.get("log"):
        return _interval_axis(key, low, high, f"{low} to {high}")
    count = math.floor((high - low) / step + 1e-9)
    return _Axis(key, [str(convert(low + each * step)) for each in range(count + 1)])
