"""Composing fast gives what Hydra gives, and leaves Hydra as it was."""

import pytest

from gpt2hydra.composition.composer import Composer
from gpt2hydra.config.errors import ABSENT
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import TrainConfig
from tests.hydra_api import hydra_in
from tools.compositions import by_hydra, compared


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer("train", CONF_DIR, once=True)


@pytest.mark.parametrize("lists", [pytest.param(100, id="few"), pytest.param(3000, id="many", marks=pytest.mark.thorough)])
def test_random_override_lists_become_what_hydra_makes_of_them(lists: int) -> None:
    found = compared(lists, seed=1)
    assert found.failures == []
    assert found.accepted > 0 and found.refused > found.on_purpose


@pytest.mark.parametrize("overrides", [["experiment=nonesuch", "~experiment"], ["~experiment", "experiment=nonesuch"]])
def test_a_choice_that_is_deleted_may_be_a_wrong_one_as_for_hydra(composer: Composer, overrides: list[str]) -> None:
    with hydra_in(CONF_DIR, "gpt2hydra"):
        assert composer.compose(overrides).config == by_hydra("train", TrainConfig, overrides) == TrainConfig()


def test_null_is_no_choice_even_if_it_is_deleted(composer: Composer) -> None:
    (found,) = composer.compose(["experiment=null", "~experiment"]).violations
    assert (found.key, found.remedy) == ("experiment", {"experiment": ABSENT})


def test_values_are_taken_back_after_each_composition(composer: Composer) -> None:
    before = composer.compose(["model=large"]).config
    assert composer.compose(["model=large", "model.n_head=10", "training.seed=3", "data.path=x"]).is_valid
    assert not composer.compose(["model=large", "model.n_head=7"]).is_valid
    assert composer.compose(["model=large"]).config == before


def test_points_share_the_sections_that_no_override_changes(composer: Composer) -> None:
    first, second = (composer.compose(["model=large", f"training.seed={seed}"]).config for seed in (1, 2))
    assert (first.model is second.model, first.training == second.training) == (True, False)  # type: ignore[attr-defined]


def test_a_section_that_is_overridden_otherwise_or_refers_to_such_a_one_is_not_shared(composer: Composer) -> None:
    usual = composer.compose(["training.seed=1"]).config
    assert composer.compose(["model.n_positions=2048"]).config.training.seq_len == 2048  # type: ignore[attr-defined]
    assert [each.key for each in composer.compose(["~model.n_head"]).violations] == ["model.n_head"]
    assert [each.key for each in composer.compose(["model.n_head=7"]).violations] == ["model.n_head"]
    assert composer.compose(["training.seed=1"]).config == usual
