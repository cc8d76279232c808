"""What values become: OmegaConf's conversions, and what they refer to."""

from dataclasses import make_dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from gpt2hydra.composition.fold import Fold
from gpt2hydra.composition.layers import layer_of, layer_of_node
from gpt2hydra.composition.resolve import convert, resolve
from gpt2hydra.composition.schema import schema_of
from gpt2hydra.config.errors import DEFAULT, Setting, command_line
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.value_rules import Scalar

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.sampled_from(["12", "1_2", "1e3", " 7", "x", "", "nan", "-0", "true", "٣"]),
    st.sampled_from([[1], {"a": 1}, b"x"]),
)


@given(VALUES, st.sampled_from([int, float, str]), st.booleans())
def test_a_value_becomes_what_omegaconf_makes_of_it(value: Any, kind: type, optional: bool) -> None:
    field: Any = kind | None if optional else kind
    config: Any = OmegaConf.structured(make_dataclass("Holder", [("x", field)])("???"))
    try:
        config.merge_with({"x": value})
        expected: Any = repr(config.x)
    except Exception:
        expected = "refused"
    try:
        found = repr(convert(Scalar(kind, optional), value))
    except Exception:
        found = "refused"
    assert found == expected


def folded(values: dict[str, Any]) -> Fold:
    fold = Fold()
    fold.merge((), layer_of_node(OmegaConf.structured(schema_of(TrainConfig)), DEFAULT))
    fold.merge((), layer_of({"model": {}, **values}, command_line()))
    return fold


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("${model.n_layer}", 3, id="plain"),
        pytest.param("${training.max_steps}", 3, id="a reference to a reference"),
        pytest.param("${..model.n_layer}", 3, id="relative"),
        pytest.param("1${model.n_layer}", 13, id="part of a text"),
        pytest.param("${model.n_inner}", 256, id="a computed value"),
    ],
)
def test_a_reference_becomes_the_value_that_is_referred_to(text: str, value: int) -> None:
    model = {"n_layer": "3", "n_embd": 64}
    fold = folded({"model": model, "training": {"max_steps": "${model.n_layer}", "seed": text}})
    found = resolve(fold, TrainConfig)
    assert (found.values["training"]["seed"], found.values["model"]["n_layer"], found.broken) == (value, 3, {})


def test_a_reference_within_a_list_becomes_the_value_that_is_referred_to() -> None:
    fold = folded({"model": {"n_layer": "3"}})
    fold.settings["training", "betas"] = (Setting("training.betas", [1, "${model.n_layer}"], command_line()),)
    found = resolve(fold, TrainConfig)
    assert (found.values["training"]["betas"], found.broken) == ([1, 3], {})


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        pytest.param("${nothing}", "refers to a key that does not exist", id="nothing"),
        pytest.param("${training.seed}", "refers to itself", id="itself"),
        pytest.param("${tokenizer.name}", "but the value that it refers to is not", id="of another type"),
        pytest.param("${oc.env:GPT2HYDRA_NONE_SUCH}", "refers to an environment variable that is not set", id="environment"),
        pytest.param("???", "must be given", id="left out"),
    ],
)
def test_an_unresolvable_reference_is_left_out_with_the_reason(text: str, rule: str) -> None:
    fold = folded({})
    fold.settings["training", "seed"] += (Setting("training.seed", text, command_line()),)
    found = resolve(fold, TrainConfig)
    assert list(found.broken) == ["training.seed"] and rule in found.broken["training.seed"].rule
    assert "seed" not in found.values["training"] and found.values["training"]["batch_size"] == 4
