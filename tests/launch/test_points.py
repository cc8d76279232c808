"""Which points a sweep visits: Hydra's basic sweeper exactly, an adaptive one as far as it can be known."""

from dataclasses import dataclass
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.types import RunMode
from omegaconf import DictConfig

from gpt2hydra import ConfigError
from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_compat import store_config
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.launch.points import expand_points


@dataclass
class AdaptiveConf:
    """As Optuna's sweeper is configured."""

    _target_: str = "somebodys.AdaptiveSweeper"
    params: Any = None
    search_space: Any = None


def composed(*overrides: str) -> tuple[DictConfig, Composer]:
    composer = Composer("train", CONF_DIR, once=True)
    return composer.compose_by_hydra([*overrides, "hydra.mode=MULTIRUN"], RunMode.MULTIRUN), composer


@pytest.fixture
def adaptive(monkeypatch: pytest.MonkeyPatch) -> None:
    Plugins.instance()  # which bring their own sweepers
    store = ConfigStore.instance()
    monkeypatch.setitem(store.repo, "hydra", {**store.repo["hydra"], "sweeper": {**store.repo["hydra"]["sweeper"]}})
    store_config("adaptive", AdaptiveConf, "hydra/sweeper")


def values(override: str, *more: str) -> tuple[list[str], list[str]]:
    points, notes = expand_points(*composed("hydra/sweeper=adaptive", override, *more))
    return [point[0].partition("=")[2] for point in points], notes


def test_the_points_are_hydras_own() -> None:
    points, notes = expand_points(*composed("model=glob(*a*)", "model.n_layer=range(1,3)", "training.seed=7"))
    sizes = [f"model={size}" for size in ("large", "small")]
    assert points == [[size, f"model.n_layer={layers}", "training.seed=7"] for size in sizes for layers in (1, 2)]
    assert notes == []


@pytest.mark.usefixtures("adaptive")
@pytest.mark.parametrize(
    ("override", "expected"),
    [
        pytest.param("model.n_head=choice(4,7)", ["4", "7"], id="choice"),
        pytest.param("model.n_head=range(1,4)", ["1", "2", "3", "4"], id="range: its end too"),
        pytest.param("model.n_head=range(1,4,2)", ["1", "3"], id="range that steps past its end"),
        pytest.param("model.resid_pdrop=range(0.1,0.3,0.1)", ["0.1", "0.2", "0.3"], id="range of real numbers"),
        pytest.param("model.n_head=int(interval(1,4))", ["1", "2", "3", "4"], id="interval of integers"),
    ],
)
def test_all_points_of_an_adaptive_sweeper_are_known(override: str, expected: list[str]) -> None:
    assert values(override) == (expected, [])


@pytest.mark.usefixtures("adaptive")
def test_of_an_interval_of_real_numbers_three_are_tried() -> None:
    tried, notes = values("model.resid_pdrop=interval(0.1,0.5)")
    assert tried == ["0.1", "0.3", "0.5"]
    assert notes == ["model.resid_pdrop=interval(0.1,0.5): only its ends and one value between them were checked"]


@pytest.mark.usefixtures("adaptive")
def test_an_interval_of_real_numbers_is_none_of_integers() -> None:
    with pytest.raises(ConfigError) as refused:
        expand_points(*composed("hydra/sweeper=adaptive", "model.n_head=interval(1,12)", "model=glob(z*)"))
    interval, empty = refused.value.violations
    assert (interval.key, interval.suggestion) == ("model.n_head", '"model.n_head=int(interval(1,12))"')
    assert empty.rule == "has no values to sweep over"
    assert values("model.n_head=int(interval(1,12))")[0] == [str(each) for each in range(1, 13)]


@pytest.mark.usefixtures("adaptive")
def test_a_search_space_in_a_file_is_read_too() -> None:
    heads, tokenizer = "{type: int, low: 2, high: 6, step: 2}", "{type: categorical, choices: [bytes]}"
    space = f"++hydra.sweeper.search_space={{model.n_head: {heads}, tokenizer: {tokenizer}}}"
    points, notes = expand_points(*composed("hydra/sweeper=adaptive", space))
    assert points == [[f"model.n_head={each}", "tokenizer=bytes"] for each in (2, 4, 6)]
    assert notes == []


@pytest.mark.usefixtures("adaptive")
def test_a_search_space_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.search_space\.model = .*\n.*must be \{type: int or float"):
        expand_points(*composed("hydra/sweeper=adaptive", "++hydra.sweeper.search_space={model: {low: 2}}"))


@pytest.mark.usefixtures("adaptive")
@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        pytest.param("model.n_head=int(interval(5,1))", "int(interval(1,5))", id="integers"),
        pytest.param("model.n_head=interval(5,1)", "int(interval(1,5))", id="real numbers for an integer"),
        pytest.param("model.resid_pdrop=interval(0.5,0.1)", "interval(0.1,0.5)", id="real numbers"),
    ],
)
def test_an_interval_that_begins_above_its_end_is_turned(override: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as refused:
        values(override)
    assert refused.value.violations[0].remedy == {override.partition("=")[0]: remedy}
