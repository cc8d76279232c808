"""``gpt2hydra check`` finds nothing wrong exactly where the program takes every choice of a tree."""

import pytest

from tools.verdicts import compared


@pytest.mark.parametrize("trees", [pytest.param(5, id="few"), pytest.param(300, id="many", marks=pytest.mark.thorough)])
def test_check_and_the_program_agree_about_mutated_trees(trees: int) -> None:
    found = compared(trees, seed=21)
    assert found.failures == []
    assert found.accepted > 0 and found.refused > 0
