"""The schema in Hydra, and the gate behind it, as another application uses them."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from hydra import compose
from omegaconf import OmegaConf

from gpt2hydra import ConfigError, GPT2Config, TrainConfig, instantiate, register_configs
from gpt2hydra.composition import schema
from gpt2hydra.composition.schema import schema_of
from gpt2hydra.fields import Checked, integer
from tests.hydra_api import hydra_in


def another_app(folder: Path, *overrides: str) -> GPT2Config:
    """An application of its own, with one section and a typed size in it."""
    (folder / "app.yaml").write_text("defaults:\n  - gpt2/model@encoder: small\n  - _self_\nname: mine\n")
    register_configs()
    with hydra_in(folder):
        return instantiate(compose("app", list(overrides)).encoder, GPT2Config)


def test_another_app_gets_a_typed_group(tmp_path: Path) -> None:
    assert another_app(tmp_path) == GPT2Config.gpt2_small()
    assert another_app(tmp_path, "gpt2/model@encoder=xl") == GPT2Config.gpt2_xl()
    assert another_app(tmp_path, "gpt2/model@encoder=large", "encoder.n_embd=640").n_inner == 2560


def test_values_of_another_app_are_validated_by_the_same_rules(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"  encoder\.n_head = 7\n") as caught:
        another_app(tmp_path, "encoder.n_head=7")
    assert caught.value.violations[0].suggestion == "encoder.n_head=6"
    with pytest.raises(ConfigError, match="n_hed"):
        another_app(tmp_path, "+encoder.n_hed=7")


def test_instantiate_resolves_references_and_refuses_unknown_keys() -> None:
    given = OmegaConf.create({"n_embd": 64, "n_head": "${.n_layer}", "n_layer": 4})
    assert instantiate(given) == GPT2Config(n_embd=64, n_head=4, n_layer=4)
    with pytest.raises(ConfigError, match="computed"):
        instantiate(OmegaConf.create({"n_embd": 64, "n_head": 4, "n_inner": 5}))


def test_the_schema_computes_n_inner_from_what_was_composed() -> None:
    schema = OmegaConf.structured(schema_of(GPT2Config))
    schema.n_embd = 640
    assert schema.n_inner == 2560


def test_of_two_classes_with_one_name_the_newest_counts_but_train_stays_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    roots = dict(schema.ROOTS)
    monkeypatch.setattr(schema, "ROOTS", roots)
    monkeypatch.setattr(schema, "_NAMES", {})

    @dataclass(frozen=True)
    class Before(Checked):
        width: int = integer(1, "first declaration", at_most=9)

    @dataclass(frozen=True)
    class After(Checked):
        width: int = integer(2, "as a notebook declares it again", at_most=9)

    for config_class in (Before, After):
        schema.register(config_class, "twice_declared")
        schema.register(config_class, "train")
    assert (roots["twice_declared_schema"], roots["train_schema"]) == (After, TrainConfig)
