"""A file's ``hydra:`` section: what Hydra does not know in it, and what Hydra itself is to decide."""

from typing import Any

import pytest
from omegaconf import OmegaConf

import gpt2hydra
from gpt2hydra.composition import hydra_section
from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_section import FileSection, check_file_section, check_mode, depends_on_plugins
from gpt2hydra.composition.hydra_state import parse
from gpt2hydra.composition.layers import layer_of
from gpt2hydra.composition.overrides import Overrides
from gpt2hydra.config.errors import DEFAULT, ConfigError, command_line
from gpt2hydra.config.gpt2 import CONF_DIR


@pytest.mark.parametrize(
    ("section", "refused"),
    [
        pytest.param({}, [], id="empty"),
        pytest.param({"job": {"name": "mine", "chdir": True}, "run": {"dir": "${now:%Y}"}}, [], id="keys of Hydra"),
        pytest.param({"job": {"chdir": "maybe", "name": "x"}}, ["hydra.job.chdir"], id="wrong value"),
        pytest.param({"job_logging": {"root": {"handlers": ["file"]}}}, [], id="keys of a log"),
        pytest.param({"job_logging": {"handlers": ["file"]}}, ["hydra.job_logging.handlers"], id="a list for a mapping"),
        pytest.param({"jbo": {}, "run": {"dri": 1}}, ["hydra.jbo", "hydra.run.dri"], id="unknown keys"),
        pytest.param({"searchpath": ["x"]}, ["hydra.searchpath"], id="what the primary config alone may say"),
        pytest.param("text", ["hydra"], id="no section"),
    ],
)
def test_a_section_is_right_or_hydra_decides(section: Any, refused: list[str] | None) -> None:
    found = check_file_section(layer_of(section, DEFAULT), is_primary=False)
    assert (None if found is None else [each.key for each in found]) == refused


@pytest.mark.parametrize(
    ("primary", "experiment", "typed", "refused"),
    [
        pytest.param({}, {"mode": "MULTIRUN"}, [], True, id="an experiment asks for a sweep"),
        pytest.param({}, {"mode": "MULTIRUN"}, ["hydra.mode=RUN"], False, id="the command line has the last word"),
        pytest.param({}, {"mode": "RUN"}, [], False, id="an experiment asks for a run"),
        pytest.param({"mode": "MULTIRUN"}, {"mode": "MULTIRUN"}, [], False, id="both ask for a sweep"),
        pytest.param({"mode": "MULTIRUN"}, {"mode": "RUN"}, [], True, id="an experiment takes a sweep back"),
        pytest.param({"mode": "MULTIRUN"}, {}, [], False, id="the primary config asks for a sweep"),
    ],
)
@pytest.mark.parametrize("before_composing", [True, False], ids=["since Hydra 1.4", "before"])
def test_a_mode_set_by_a_composed_file_is_refused_if_hydra_needs_it_earlier(
    primary: Any, experiment: Any, typed: list[str], refused: bool, before_composing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hydra_section, "MODE_BEFORE_COMPOSING", before_composing)
    sections = [FileSection(layer_of(primary, DEFAULT), True), FileSection(layer_of(experiment, DEFAULT), False)]
    found = [*check_mode(sections, Overrides(hydra=[*map(parse, typed)]))]
    assert [each.key for each in found] == ["hydra.mode"] * (refused and before_composing)


def test_the_primary_config_may_name_folders_to_search() -> None:
    assert check_file_section(layer_of({"searchpath": ["x"]}, DEFAULT), is_primary=True) == []


@pytest.mark.parametrize(
    ("override", "key", "rule"),
    [
        pytest.param("~hydra.sweep.dir", "hydra.sweep.dir", "cannot be deleted: Hydra needs it", id="deleted"),
        pytest.param("~hydra.nope", "hydra.nope", "cannot be deleted: there is no such key", id="deleted nothing"),
        pytest.param("hydra.job.num=x", "hydra.job.num", "is not accepted by Hydra: Value 'x'", id="a key without a value yet"),
    ],
)
def test_overrides_that_hydra_refuses_are_reported_with_the_reason(override: str, key: str, rule: str) -> None:
    with pytest.raises(ConfigError) as caught:
        gpt2hydra.compose("train", [override])
    (found,) = caught.value.violations
    assert found.key == key and found.rule.startswith(rule) and found.source == command_line(override)


def test_a_plugin_knows_its_own_keys() -> None:
    assert depends_on_plugins(layer_of({"sweeper": {"n_trials": 3}}, DEFAULT))
    assert not depends_on_plugins(layer_of({"job": {}}, DEFAULT))


def test_hydras_section_is_known_without_composing_it() -> None:
    composer = Composer("train", CONF_DIR, once=True)
    found = composer.fold(["model=large"])
    section, hydras = composer.hydra_section(found), composer.compose_by_hydra(["model=large"])
    assert section is not None
    for key in ("job_logging", "callbacks", "verbose", "output_subdir", "run"):
        ours, theirs = (OmegaConf.masked_copy(each.hydra, key) for each in (section, hydras))
        assert OmegaConf.to_container(ours, resolve=False) == OmegaConf.to_container(theirs, resolve=False)
    assert section.hydra.job.name == "train"


@pytest.mark.parametrize("overrides", [["hydra.run.dir=x"], ["hydra/job_logging=none"], ["data.path=${hydra:job.name}"]])
def test_choices_in_hydras_section_are_composed_by_hydra(overrides: list[str]) -> None:
    composer = Composer("train", CONF_DIR, once=True)
    assert composer.hydra_section(composer.fold(overrides)) is None
