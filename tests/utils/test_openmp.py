"""A setting of OpenMP."""

import os

import pytest

from gpt2hydra.utils.openmp import SPIN_COUNT, limit_spinning


@pytest.mark.parametrize(
    ("given", "count"),
    [
        pytest.param({}, SPIN_COUNT, id="nothing set"),
        pytest.param({"GOMP_SPINCOUNT": "7"}, "7", id="a count given"),
        pytest.param({"OMP_WAIT_POLICY": "passive"}, None, id="a policy given"),
    ],
)
def test_set_variables_are_kept(given: dict[str, str], count: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    limit_spinning()
    assert os.environ.get("GOMP_SPINCOUNT") == count
