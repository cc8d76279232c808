"""A configuration of which some sections are checked."""

from dataclasses import dataclass

import pytest

from gpt2hydra import ConfigError, GPT2Config
from gpt2hydra.config.checked_sections import class_with_sections, section_at
from gpt2hydra.config.keys import keys_of, may_stand
from gpt2hydra.fields import Checked, integer


@dataclass(frozen=True)
class Net(Checked):
    width: int = integer(8, "width", at_most=64)


def test_the_rest_passes_and_a_section_stands_under_its_key() -> None:
    kind = class_with_sections({"model.config": Net, "lr-net": Net}, frozenset({"lr-net"}))
    given = {"model": {"config": {"width": 3, "_target_": "x"}, "name": "a"}, "lr-net": None, "seed": 1}
    config = kind.from_dict(given)
    assert (section_at(config, "model.config"), section_at(config, "lr-net")) == (Net(3), None)
    assert config.extra == {"seed": 1}
    assert [*keys_of(kind)] == ["model.config.width", "lr-net.width"]
    assert may_stand(kind, "seed") and may_stand(kind, "model.name") and may_stand(kind, "model.config._target_")
    assert not may_stand(kind, "model.config.widht")


def test_each_wrong_section_is_one_refusal() -> None:
    kind = class_with_sections({"model.config": Net, "optim": Net, "data": Net})
    with pytest.raises(ConfigError) as caught:
        kind.from_dict({"model": {"config": {"width": 65, "widht": 1}}, "optm": {}, "data": 3})
    assert [(each.head, each.rule) for each in caught.value.violations] == [
        ("model.config.width = 65", "must be ≥ 1 and ≤ 64"),
        ("model.config.widht = 1", "unknown key; did you mean model.config.width?"),
        ("optim", "must be a section of the config, and is not there; did you mean optm?"),
        ("data = 3", "must be a section with the keys of Net, not an integer"),
    ]


def test_a_section_within_another_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match=r"a\.b stands within a, which has a class of its own; declare it there"):
        class_with_sections({"a": Net, "a.b": GPT2Config})
