"""A file's ``hydra:`` section: what Hydra does not know in it, and what Hydra itself is to decide."""

from typing import Any

import pytest

from gpt2hydra.composition.hydra_section import refused_section
from gpt2hydra.composition.layers import layer_of
from gpt2hydra.config.errors import DEFAULT


@pytest.mark.parametrize(
    ("section", "refused"),
    [
        pytest.param({}, [], id="empty"),
        pytest.param({"job": {"name": "mine", "chdir": True}, "run": {"dir": "${now:%Y}"}}, [], id="keys of Hydra"),
        pytest.param({"job": {"chdir": "maybe", "name": "x"}}, ["hydra.job.chdir"], id="wrong value"),
        pytest.param({"job_logging": {"root": {"handlers": ["file"]}}}, [], id="keys of a log"),
        pytest.param({"job_logging": {"handlers": ["file"]}}, ["hydra.job_logging.handlers"], id="a list for a mapping"),
        pytest.param({"jbo": {}, "run": {"dri": 1}}, ["hydra.jbo", "hydra.run.dri"], id="unknown keys"),
        pytest.param({"sweeper": {"n_trials": 3}}, None, id="a plugin's key"),
        pytest.param({"searchpath": ["x"]}, ["hydra.searchpath"], id="what the primary config alone may say"),
        pytest.param("text", ["hydra"], id="no section"),
    ],
)
def test_a_section_is_right_or_hydra_decides(section: Any, refused: list[str] | None) -> None:
    found = refused_section(layer_of(section, DEFAULT), is_primary=False)
    assert (None if found is None else [each.key for each in found]) == refused


def test_the_primary_config_may_name_folders_to_search() -> None:
    assert refused_section(layer_of({"searchpath": ["x"]}, DEFAULT), is_primary=True) == []
