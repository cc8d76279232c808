"""TrainingConfig: the learning rate of each step, when a run saves, and rules between its keys."""

from typing import Any

import pytest

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.training import TrainingConfig

HALF_WAY_DOWN = 0.1 + 0.9 * (1 + 0.5**0.5) / 2
"""The cosine at 45 degrees, between 1 and 0.1."""


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("cosine", [0.5, 1.0, HALF_WAY_DOWN, 0.55, 1.1 - HALF_WAY_DOWN, 0.1]),
        ("linear", [0.5, 1.0, 0.775, 0.55, 0.325, 0.1]),
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_the_learning_rate_rises_then_falls(schedule: str, rates: list[float]) -> None:
    config = TrainingConfig(learning_rate=1, min_learning_rate_ratio=0.1, warmup_steps=1, max_steps=6, schedule=schedule)
    assert [config.learning_rate_at(step) for step in range(6)] == pytest.approx(rates)


@pytest.mark.parametrize(
    ("decay_steps", "rates"),
    [
        pytest.param(None, [0.5, 1, 1, 1, 1, 1, 1, 1, 0.5, 0.0], id="a fifth"),
        pytest.param(4, [0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0.0], id="given"),
        pytest.param(1, [0.5, 1, 1, 1, 1, 1, 1, 1, 1, 0.0], id="the last step alone"),
        pytest.param(9, [0.5, 8 / 9, 7 / 9, 6 / 9, 5 / 9, 4 / 9, 3 / 9, 2 / 9, 1 / 9, 0.0], id="from the warm-up on"),
    ],
)
def test_wsd_is_constant_and_then_falls_to_the_minimum_at_the_last_step(decay_steps: int | None, rates: list[float]) -> None:
    shape: dict[str, Any] = {"learning_rate": 1, "min_learning_rate_ratio": 0, "warmup_steps": 1, "max_steps": 10}
    config = TrainingConfig(schedule="wsd", decay_steps=decay_steps, **shape)
    assert [config.learning_rate_at(step) for step in range(10)] == pytest.approx(rates)


def test_without_warm_up_the_first_step_is_at_the_peak() -> None:
    assert TrainingConfig(warmup_steps=0, learning_rate=1e-3).learning_rate_at(0) == 1e-3


def test_a_run_of_only_warm_up_does_not_divide_by_zero() -> None:
    assert TrainingConfig(warmup_steps=1, max_steps=1, learning_rate=1e-3).learning_rate_at(0) == 5e-4


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        pytest.param({}, [4, 8, 10], id="at each evaluation"),
        pytest.param({"save_interval": 3}, [3, 6, 9, 10], id="an interval of its own"),
        pytest.param({"save_interval": 4, "keep_every": 5}, [4, 5, 8, 10], id="at each that stays for ever"),
    ],
)
def test_a_run_saves_at_its_intervals_and_at_its_end(settings: dict[str, Any], steps: list[int]) -> None:
    config = TrainingConfig(max_steps=10, eval_interval=4, warmup_steps=0, **settings)
    assert [step for step in range(1, 11) if config.saves_at(step)] == steps
    assert [step for step in range(1, 11) if config.evaluates_at(step)] == [4, 8, 10]


@pytest.mark.parametrize(
    ("settings", "key", "rule", "remedy"),
    [
        pytest.param(
            {"schedule": "wsd", "decay_steps": 11, "warmup_steps": 0},
            "decay_steps",
            "must be ≤ max_steps = 10 minus warmup_steps = 0",
            {"decay_steps": 10},
            id="a decay longer than the run",
        ),
        pytest.param(
            {"schedule": "wsd", "decay_steps": 9, "warmup_steps": 2},
            "decay_steps",
            "must be ≤ max_steps = 10 minus warmup_steps = 2",
            {"decay_steps": 8},
            id="a decay that begins in the warm-up",
        ),
        pytest.param(
            {"decay_steps": 5, "warmup_steps": 0},
            "decay_steps",
            "must be null with schedule = cosine: only wsd reads it",
            {},
            id="a decay that nobody reads",
        ),
        pytest.param(
            {"early_stopping_patience": 3, "eval_interval": 4, "warmup_steps": 0},
            "early_stopping_patience",
            "must be ≤ the number of evaluations before the last step: eval_interval = 4, max_steps = 10",
            {"eval_interval": 3},
            id="patience without evaluations",
        ),
    ],
)
def test_rules_between_keys(settings: dict[str, Any], key: str, rule: str, remedy: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        TrainingConfig(max_steps=10, **settings)
    assert [(each.key, each.rule, each.remedy) for each in refused.value.violations] == [(key, rule, remedy)]
    if remedy:
        TrainingConfig(max_steps=10, **settings | remedy)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[(key, -1) for key in ("keep_every", "early_stopping_patience", "final_eval_sequences", "decay_steps")],
        *[(key, -0.5) for key in ("save_minutes", "max_hours", "skip_spike_norm", "stall_timeout")],
        *[("save_interval", 0), ("stall_timeout", 0), ("max_hours", float("inf")), ("save_minutes", "5")],
    ],
)
def test_values_out_of_bounds_are_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as refused:
        TrainingConfig.from_dict({key: value})
    assert [each.key for each in refused.value.violations] == [key]
