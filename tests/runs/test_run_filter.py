"""``gpt2hydra runs --filter``."""

from pathlib import Path

import pytest

from gpt2hydra import ConfigError
from gpt2hydra.runs.comparison import Comparison
from gpt2hydra.runs.run_filter import apply_filter
from tests.run_directories import make_run
from tests.runs.runs_to_compare import config


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """Two finished runs, ``0`` and ``1``, and an interrupted one, ``2``, which has no loss."""
    make_run(tmp_path / "0", config("training.learning_rate=1e-3"), step=50, loss=1.5)
    make_run(tmp_path / "1", config("training.learning_rate=3e-4", "training.gradient_checkpointing=true"), step=50, loss=1.7)
    make_run(tmp_path / "2", config("training.learning_rate=3e-4", "hardware.name='my GPU'"), step=20)
    return Comparison.read_below(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("training.learning_rate<1e-3", "12", id="a number"),
        pytest.param("training.learning_rate<=0.001 state=finished", "01", id="two conditions"),
        pytest.param("learning_rate=3e-4", "12", id="the last part of a key"),
        pytest.param("validation_loss>1.6", "1", id="a measurement, which one run lacks"),
        pytest.param("state!=finished", "2", id="unlike"),
        pytest.param("gradient_checkpointing=true", "1", id="a flag"),
        pytest.param("data.path=null", "012", id="null"),
        pytest.param("'hardware.name=my GPU'", "2", id="a space in quotes"),
        pytest.param("", "012", id="no condition"),
    ],
)
def test_the_runs_that_meet_every_condition(comparison: Comparison, text: str, expected: str) -> None:
    assert sorted(run.name for run in apply_filter(comparison, text).runs) == [*expected]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        pytest.param("trainig.seed=1", "did you mean training.seed?", id="a misspelt key"),
        pytest.param("state", "is no condition; write KEY=VALUE, or with <=, >=, !=, <, >", id="no operator"),
        pytest.param("state<3", "none of the 3 runs meets it; state is finished, interrupted", id="words by size"),
        pytest.param("seed>many", "> needs a number, not many", id="by size of a word"),
        pytest.param("state='x", "cannot be read: No closing quotation", id="a quote"),
        pytest.param("learning_rate>1", "none of the 3 runs meets it; training.learning_rate is 0.001, 0.0003", id="no run"),
        pytest.param("state=finished seed=2", "none of the 3 runs meets it; training.seed is 1337", id="one of two"),
    ],
)
def test_an_invalid_filter_is_refused(comparison: Comparison, text: str, rule: str) -> None:
    with pytest.raises(ConfigError) as refused:
        apply_filter(comparison, text)
    (violation,) = refused.value.violations
    assert violation.key == "--filter" and rule in violation.rule
