"""A YAML file that somebody broke composes as Hydra composes it, or is refused in words."""

import pytest

from tools.mutations import compared


@pytest.mark.parametrize("files", [pytest.param(50, id="few"), pytest.param(500, id="many", marks=pytest.mark.thorough)])
def test_a_mutated_file_composes_as_hydra_composes_it_or_is_refused(files: int) -> None:
    found = compared(files, seed=1)
    assert found.failures == []
    assert found.accepted > found.unchanged > 0 and found.refused
