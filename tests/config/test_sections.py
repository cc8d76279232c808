"""Sections of every kind: optional, open, with ``_target_``, by a discriminator."""

import pickle
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gpt2hydra import ConfigError, GPT2Config
from gpt2hydra.fields import Checked, integer, items, mapping, number, section, text, union


@dataclass(frozen=True)
class AdamW(Checked):
    lr: float = number(1e-3, "learning rate", above=0, at_most=1)
    betas: tuple[float, ...] = items(number(at_least=0, at_most=1), "betas", default=(0.9, 0.95))


@dataclass(frozen=True)
class Muon(Checked):
    lr: float = number(2e-2, "learning rate", above=0, at_most=10)
    momentum: float = number(0.95, "momentum", at_least=0, at_most=1)


class Lion(AdamW):
    """Of the same fields."""


@dataclass(frozen=True)
class Trainer(Checked, extra="allow"):
    max_steps: int = integer(10, "steps")


@dataclass(frozen=True)
class Program(Checked):
    optim: Any = union("type", {"adamw": AdamW, "muon": Muon, "lion": Lion}, "the optimizer")
    trainer: Trainer = section(Trainer, "the trainer")
    loggers: Any = mapping(section(Trainer, "a logger"), "loggers", default={})
    model: GPT2Config | None = section(GPT2Config, "the shape", optional=True, target=True)
    by_target: Any = union("_target_", {"torch.optim.AdamW": AdamW}, "one that Hydra makes", optional=True)


def problems(**given: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(ConfigError) as caught:
        Program.from_dict({"optim": {"type": "muon"}, **given})
    return [(each.head, each.rule, each.suggestion) for each in caught.value.violations]


def test_a_discriminator_chooses_the_class() -> None:
    config = Program.from_dict({"optim": {"type": "muon", "momentum": 0.5}})
    assert isinstance(config.optim, Muon) and config.optim.momentum == 0.5
    assert config.to_dict()["optim"] == {"lr": 0.02, "momentum": 0.5, "type": "muon"}
    assert Program.from_dict(config.to_dict()) == config == pickle.loads(pickle.dumps(config))
    assert Program(optim=Muon(momentum=0.5)) == config
    assert type(replace(config, optim=Lion()).optim).__name__ == "Lion"


@pytest.mark.parametrize(
    ("optim", "head", "rule", "suggestion"),
    [
        pytest.param({}, "optim.type", "must be given: one of adamw, muon, lion", "optim.type=...", id="missing"),
        pytest.param({"type": "adam"}, "optim.type = adam", "must be one of adamw, muon, lion", "optim.type=adamw", id="near"),
        pytest.param({"type": [1]}, "optim.type = [1]", "must be one of adamw, muon, lion", "", id="no text"),
        pytest.param(
            {"type": "muon", "betas": [1]}, "optim.betas = [1]", "unknown key; known: lr, momentum, type", "", id="of another"
        ),
        pytest.param({"type": "adamw", "betas": [0.9, 2]}, "optim.betas[1] = 2", "must be ≥ 0 and ≤ 1", "", id="element"),
        pytest.param(
            3, "optim = 3", "must be a section with the keys of AdamW, or Muon, or Lion, not an integer", "", id="scalar"
        ),
    ],
)
def test_a_wrong_section_of_a_union_is_one_clear_refusal(optim: Any, head: str, rule: str, suggestion: str) -> None:
    assert problems(optim=optim) == [(head, rule, suggestion)]


def test_an_open_section_keeps_other_keys() -> None:
    config = Program.from_dict({"optim": {"type": "lion"}, "trainer": {"max_steps": 3, "callbacks": [{"a": 1}]}})
    assert (config.trainer.max_steps, config.trainer.extra) == (3, {"callbacks": ({"a": 1},)})
    assert config.to_dict()["trainer"] == {"max_steps": 3, "callbacks": [{"a": 1}]}
    assert Program.from_dict(config.to_dict()) == config == pickle.loads(pickle.dumps(config))
    assert replace(config.trainer, max_steps=4).extra == config.trainer.extra
    assert problems(trainer=3) == [("trainer = 3", "must be a section with the keys of Trainer, not an integer", "")]
    assert problems(trainer={"max_steps": 0, "other": 1})[0][0] == "trainer.max_steps = 0"


def test_a_mapping_may_hold_sections() -> None:
    config = Program.from_dict({"optim": {"type": "lion"}, "loggers": {"csv": {"max_steps": 2, "path": "x"}}})
    assert config.loggers["csv"] == Trainer.from_dict({"max_steps": 2, "path": "x"})
    assert config.to_dict()["loggers"] == {"csv": {"max_steps": 2, "path": "x"}}
    assert problems(loggers={"csv": {"max_steps": 0}}) == [("loggers.csv.max_steps = 0", "must be ≥ 1", "")]
    assert len(config.fingerprint()) == 16


def test_an_optional_section_may_be_null_and_one_that_hydra_makes_may_have_a_target() -> None:
    assert Program.from_dict({"optim": {"type": "lion"}}).model is None
    node = {"_target_": "transformers.GPT2Config", "_convert_": "all", "n_layer": 2}
    config = Program.from_dict({"optim": {"type": "lion"}, "model": node})
    assert isinstance(config.model, GPT2Config)
    assert config.model.to_dict() == {**GPT2Config(n_layer=2).to_dict(), "_target_": node["_target_"], "_convert_": "all"}
    assert Program.from_dict(config.to_dict()) == config == pickle.loads(pickle.dumps(config))
    assert problems(model={"_convert_": "every"})[0][1] == "must be one of none, partial, object, all or null"
    assert problems(model={"n_head": 7, "_target_": "x"})[0][0] == "model.n_head = 7"


def test_a_target_can_be_the_discriminator() -> None:
    node = {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 0.5}
    config = Program.from_dict({"optim": {"type": "lion"}, "by_target": node})
    assert config.by_target.to_dict() == {**node, "betas": [0.9, 0.95]}
    assert problems(by_target={"_target_": "torch.optim.AdamV"})[0][2] == "by_target._target_=torch.optim.AdamW"


@dataclass(frozen=True)
class Named(Checked):
    name: str = text(doc="a name")


def test_a_wrong_declaration_is_refused_with_class_and_field() -> None:
    with pytest.raises(TypeError, match="int is no section: it must be a class that derives from Checked, a dataclass"):
        section(int, "a number")
    with pytest.raises(TypeError, match=r"union\('type'\) has values that differ only in capital letters: 'adamw', 'AdamW'"):
        union("type", {"adamw": AdamW, "AdamW": Muon})
    with pytest.raises(TypeError, match=r"union\('type'\) has AdamW twice; derive a class for each: class Other\(AdamW\)"):
        union("type", {"a": AdamW, "b": AdamW})
    with pytest.raises(TypeError, match=r"union\('type'\) has no classes"):
        union("type", {})
