"""Hydra's process-wide state is lent, and given back."""

import os
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobRuntime
from hydra.errors import OverrideParseException

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_state import hydra_overrides, hydra_state, parse, set_job_fields, start_folder, task_overrides
from gpt2hydra.config.gpt2 import CONF_DIR


def test_the_callers_state_is_restored_after_an_error() -> None:
    before = JobRuntime.instance().get("name"), HydraConfig.instance().cfg
    with pytest.raises(RuntimeError), hydra_state():
        assert JobRuntime.instance().get("name") == "gpt2hydra"
        HydraConfig.instance().set_config(Composer("train", CONF_DIR, once=True).compose_by_hydra([]))
        raise RuntimeError
    assert (JobRuntime.instance().get("name"), HydraConfig.instance().cfg) == before


def test_an_override_is_parsed_once() -> None:
    assert parse("model.n_head=7") is parse("model.n_head=7")


def test_overrides_are_reported_as_they_were_typed() -> None:
    with hydra_state():
        composer = Composer("train", CONF_DIR, once=True)
        config = composer.compose_by_hydra(["data.path=${oc.env:HOME}", "hydra.run.dir=${now:%Y}"])
    assert task_overrides(config.hydra) == ["data.path=${oc.env:HOME}"]
    assert hydra_overrides(config.hydra) == ["hydra.run.dir=${now:%Y}"]


def test_a_job_of_a_sweep_has_its_number_and_directory() -> None:
    with hydra_state():
        composed = Composer("train", CONF_DIR, once=True).compose_by_hydra(["hydra.sweep.dir=out"])
        hydra = set_job_fields(composed, 3).hydra
    assert (hydra.job.num, hydra.runtime.output_dir) == (3, os.path.abspath("out/3"))


def test_a_job_that_changed_its_directory_knows_where_it_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = os.getcwd()
    assert start_folder() == start
    with hydra_state():
        job = set_job_fields(Composer("train", CONF_DIR, once=True).compose_by_hydra([f"hydra.sweep.dir={tmp_path}"]), 3)
        HydraConfig.instance().set_config(job)
        (tmp_path / "3").mkdir()
        monkeypatch.chdir(tmp_path / "3")
        assert start_folder() == start
        monkeypatch.chdir(tmp_path)
        assert start_folder() == str(tmp_path)


@pytest.mark.parametrize(
    "value", ["0", "7", "-7", "123456789012345678", "07", "-0", "1_0", "1e3", "+1", "", "1,2", "1234567890123456789"]
)
@pytest.mark.parametrize("key", ["a.b", "~a.b", "+a.b", "a", "a@b.c", "a.0"])
def test_integers_are_parsed_as_by_hydra(key: str, value: str) -> None:
    text = f"{key}={value}"
    try:
        expected = OverridesParser.create().parse_override(text)
    except OverrideParseException:
        with pytest.raises(OverrideParseException):
            parse(text)
    else:
        assert parse(text) == expected and type(parse(text).value()) is type(expected.value())


def test_nested_hydra_state_is_restored() -> None:
    before = HydraConfig.instance().cfg
    with hydra_state():
        with hydra_state():
            HydraConfig.instance().set_config(Composer("train", CONF_DIR, once=True).compose_by_hydra([]))
        assert (JobRuntime.instance().get("name"), HydraConfig.instance().cfg) == ("gpt2hydra", before)
