"""A configuration of which some sections are checked."""

from dataclasses import dataclass
from typing import Annotated, Any, Optional

import pytest

from gpt2hydra import ConfigError, GPT2Config
from gpt2hydra.config.keys import is_allowed_key, keys_of
from gpt2hydra.config.sections import class_with_sections, get_section
from gpt2hydra.fields import Checked, integer, section, union


@dataclass(frozen=True)
class Net(Checked):
    width: int = integer(8, "width", at_most=64)


def test_other_keys_pass_and_a_section_is_under_its_key() -> None:
    kind = class_with_sections({"model.config": Net, "lr-net": Optional[Net]})
    given = {"model": {"config": {"width": 3, "_target_": "x"}, "name": "a"}, "lr-net": None, "seed": 1}
    config = kind.from_dict(given)
    assert (get_section(config, "model.config"), get_section(config, "lr-net")) == (Net(3), None)
    assert config.extra == {"seed": 1}
    assert [*keys_of(kind)] == ["model.config.width", "lr-net.width"]
    assert is_allowed_key(kind, "seed") and is_allowed_key(kind, "model.name") and is_allowed_key(kind, "model.config._target_")
    assert not is_allowed_key(kind, "model.config.widht")


@dataclass(frozen=True)
class Deep(Checked):
    layers: int = integer(2, "layers")


BY_KIND = union("kind", {"net": Net, "deep": Deep}, "the network")


@pytest.mark.parametrize(
    "declared", [pytest.param(BY_KIND, id="field"), pytest.param(Annotated[Net | Deep, BY_KIND], id="annotation")]
)
def test_a_discriminator_may_name_the_class(declared: Any) -> None:
    kind = class_with_sections({"net": declared})
    made = get_section(kind.from_dict({"net": {"kind": "deep", "layers": 3, "_target_": "x"}}), "net")
    assert isinstance(made, Deep)
    assert made.layers == 3
    for given, head, rule in [
        ({}, "net.kind", "must be given: one of net, deep"),
        ({"kind": "dep"}, "net.kind = dep", "must be one of net, deep"),
        ({"kind": "net", "layers": 3}, "net.layers = 3", "unknown key; known: width, kind"),
    ]:
        with pytest.raises(ConfigError) as caught:
            kind.from_dict({"net": given})
        assert [(each.head, each.rule) for each in caught.value.violations] == [(head, rule)]


def test_a_target_section_may_be_declared() -> None:
    kind = class_with_sections({"net": section(Net, target=True)})
    assert get_section(kind.from_dict({"net": {"_target_": "x"}}), "net").to_dict() == {"width": 8, "_target_": "x"}


def test_a_wrong_section_class_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="net is no section: it must be a class that derives from Checked, a dataclass"):
        class_with_sections({"net": integer(3, "width")})


def test_each_wrong_section_is_one_refusal() -> None:
    kind = class_with_sections({"model.config": Net, "optim": Net, "data": Net})
    with pytest.raises(ConfigError) as caught:
        kind.from_dict({"model": {"config": {"width": 65, "widht": 1}}, "optm": {}, "data": 3})
    assert [(each.head, each.rule) for each in caught.value.violations] == [
        ("model.config.width = 65", "must be ≥ 1 and ≤ 64"),
        ("model.config.widht = 1", "unknown key; did you mean model.config.width?"),
        ("optim", "must be a section of the config, but is missing; did you mean optm?"),
        ("data = 3", "must be a section with the keys of Net, not an integer"),
    ]


def test_a_section_within_another_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match=r"a\.b is inside a, which has its own class; declare it there"):
        class_with_sections({"a": Net, "a.b": GPT2Config})
