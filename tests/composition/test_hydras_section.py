"""A file's ``hydra:`` section: what is right at first sight, and what Hydra is to decide."""

from typing import Any

import pytest

from gpt2hydra.composition.hydras_section import hydra_takes


@pytest.mark.parametrize(
    ("section", "right"),
    [
        pytest.param({}, True, id="empty"),
        pytest.param({"job": {"name": "mine", "chdir": True}, "run": {"dir": "${now:%Y}"}}, True, id="keys of Hydra"),
        pytest.param({"job": {"chdir": "maybe"}}, False, id="wrong value"),
        pytest.param({"job_logging": {"root": {"handlers": ["file"]}}}, True, id="keys of a log"),
        pytest.param({"job_logging": {"handlers": ["file"]}}, False, id="a list where Hydra has a mapping"),
        pytest.param({"jbo": {}}, False, id="unknown key"),
        pytest.param({"sweeper": {"n_trials": 3}}, False, id="a plugin's key"),
        pytest.param("text", False, id="no section"),
    ],
)
def test_a_section_is_right_or_hydra_decides(section: Any, right: bool) -> None:
    assert hydra_takes(section) is right
