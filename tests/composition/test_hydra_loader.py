"""Configs are found, loaded and merged as Hydra does it, and again only after a change."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from gpt2hydra.composition.hydra_compat import set_version_base, store_config
from gpt2hydra.composition.hydra_loader import ConfigLoader, join_search_path, make_search_path


@dataclass
class Size:
    n_layer: int = 12


def test_a_search_path_can_be_made_of_what_hydra_recorded(tmp_path: Path) -> None:
    made = make_search_path(str(tmp_path))
    again = join_search_path((each.provider, each.path) for each in made.get_path())
    assert [(each.provider, each.path) for each in again.get_path()] == [(each.provider, each.path) for each in made.get_path()]


def test_a_file_is_loaded_anew_once_it_has_changed_and_each_time_as_a_copy(tmp_path: Path) -> None:
    repository, file = ConfigLoader(make_search_path(str(tmp_path))).repository, tmp_path / "a.yaml"

    def load() -> Any:
        loaded = repository.load_config("a")
        assert loaded is not None
        return loaded.config

    file.write_text("b: {c: 1}")
    load().b.c = 2
    assert load() == {"b": {"c": 1}}
    file.write_text("b: {c: 30}")
    assert load() == {"b": {"c": 30}}


@pytest.mark.parametrize("is_local", [False, True], ids=["a class of a module", "a class of a function"])
def test_a_defaults_list_is_merged_anew_once_a_part_of_it_has_changed_and_each_time_as_a_copy(
    tmp_path: Path, is_local: bool
) -> None:
    @dataclass
    class Local:
        n_layer: int = 12

    size: Any = Local if is_local else Size
    set_version_base()
    loader, file = ConfigLoader(make_search_path(str(tmp_path))), tmp_path / "primary.yaml"

    def compose() -> Any:
        config = loader.load_configuration("primary", [], RunMode.RUN)
        return OmegaConf.masked_copy(config, ["a", "size"])

    file.write_text("defaults: [gpt2test_size@size, _self_]\na: 1\n")
    store_config("gpt2test_size", size(2))
    compose().size.n_layer = 7
    assert compose() == {"a": 1, "size": {"n_layer": 2}}
    store_config("gpt2test_size", size(3))
    assert compose() == {"a": 1, "size": {"n_layer": 3}}
    file.write_text("defaults: [gpt2test_size@size, _self_]\na: 20\n")
    assert compose() == {"a": 20, "size": {"n_layer": 3}}
