"""The JSON Schema of a class says what its rules say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gpt2hydra import GenerateConfig, GPT2Config, TrainConfig
from gpt2hydra.config.json_schema import schema_of_class, schema_of_rule
from gpt2hydra.config.keys import field_at, keys_of
from gpt2hydra.config.value_rules import Rule

RULES: list[Rule] = [
    field.metadata["rule"] for root in (TrainConfig, GenerateConfig) for key in keys_of(root) if (field := field_at(root, key))
]
WORDS = sorted({word for rule in RULES for word in rule.choices})


def allows(schema: dict[str, Any], value: object) -> bool:
    return bool(Draft202012Validator(schema).is_valid(value))


@given(
    st.sampled_from(RULES),
    st.one_of(
        st.integers(),
        st.integers(-2, 2),
        st.integers(10**6 - 1, 10**9 + 1),
        st.floats(allow_nan=False, allow_infinity=False).filter(lambda each: not each.is_integer()),  # 12.0 is an integer there
        st.floats(0, 2, exclude_min=True).filter(lambda each: not each.is_integer()),
        st.booleans(),
        st.none(),
        st.sampled_from(WORDS),
        st.text("abc$", max_size=4),
        st.just({}),
        st.just([1]),
    ),
)
def test_a_value_obeys_the_schema_if_it_obeys_the_rule(rule: Rule, value: object) -> None:
    assert allows(schema_of_rule(rule, {}), value) == (rule.first_problem(value) is None)


@pytest.mark.parametrize("rule", list(dict.fromkeys(RULES)), ids=str)
def test_a_reference_is_allowed_for_every_value(rule: Rule) -> None:
    schema = schema_of_rule(rule, {})
    assert all(allows(schema, text) for text in ("${other.key}", "${.n}/x", "???", "${oc.env:HOME}"))
    assert (rule.kind is str and not rule.choices) or not any(allows(schema, text) for text in ("", "$other", "${", "????"))


def test_a_field_tells_its_meaning_its_rule_and_its_default() -> None:
    properties = schema_of_class(GPT2Config, {})["properties"]
    assert properties["n_layer"] == {
        "type": ["integer", "string"],
        "minimum": 1,
        "maximum": 10_000,
        "pattern": r"\$\{.+\}|^\?\?\?$",
        "patternErrorMessage": "must be an integer ≥ 1 and ≤ 10,000; or ${another.key}",
        "description": "transformer blocks; an integer ≥ 1 and ≤ 10,000",
        "default": 12,
        "markdownDescription": "transformer blocks\n\nan integer ≥ 1 and ≤ 10,000; default `12`",
    }
    assert "n_inner" not in properties  # computed: it cannot be set


def test_a_section_is_a_definition_and_knows_its_keys() -> None:
    definitions: dict[str, Any] = {}
    schema = schema_of_class(TrainConfig, definitions)
    assert sorted(definitions) == ["DataConfig", "GPT2Config", "HardwareConfig", "TokenizerConfig", "TrainingConfig"]
    whole = {**schema, "$defs": definitions}
    Draft202012Validator.check_schema(whole)
    assert allows(whole, {"model": {"n_layer": 2}, "training": "${other}"})
    assert not allows(whole, {"model": {"n_layers": 2}}) and not allows(whole, {"training": None})
