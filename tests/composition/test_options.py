"""Groups and options as Hydra finds them."""

from pathlib import Path

import pytest

from gpt2hydra.composition.hydra_loader import ConfigLoader, make_search_path
from gpt2hydra.composition.hydra_state import parse
from gpt2hydra.composition.options import Options
from gpt2hydra.composition.schema import register_schemas
from gpt2hydra.config.run import TrainConfig


@pytest.fixture
def options(tmp_path: Path) -> Options:
    for name, text in {
        "mine": "defaults: [train_schema, {model: small}, _self_]\n",
        "model/small": "n_layer: 2\n",
        "model/large": "n_layer: 4\n",
        "more/model/far": "n_layer: 6\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.yaml").write_text(text)
    register_schemas()
    return Options(ConfigLoader(make_search_path(str(tmp_path))), "mine")


def test_a_folder_is_a_group_and_its_files_are_options(options: Options) -> None:
    assert (options.is_group("model"), options.is_group("training")) == (True, False)
    assert options.of("model") == ["large", "small"]
    assert {group: option for group, option in options.default_choices().items() if "hydra" not in group} == {"model": "small"}
    assert options.remedy("model") == {"model": "small"}


def test_hydras_search_path_adds_options(options: Options, tmp_path: Path) -> None:
    searching = Options(options.loader, "mine", [parse(f"hydra.searchpath=[file://{tmp_path}/more]")])
    assert searching.of("model") == ["far", "large", "small"]


def test_a_primary_config_that_cannot_be_read_has_no_usual_options(options: Options, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("defaults: [\n")
    assert (options.default_choices(), options.of("model")) == ({}, ["large", "small"])


@pytest.mark.parametrize(
    ("override", "reported"),
    [
        pytest.param("~model", ["model: must be one of large, small"], id="deleted"),
        pytest.param(
            "model=[small,large]", ["model = [small,large]: must be one of large, small; use a sweep for several"], id="two"
        ),
        pytest.param("model=large", [], id="one"),
        pytest.param("~training.seed", [], id="no group"),
    ],
)
def test_a_section_is_to_have_one_option(options: Options, override: str, reported: list[str]) -> None:
    assert [f"{each.head}: {each.rule}" for each in options.check_choices([parse(override)], TrainConfig)] == reported
