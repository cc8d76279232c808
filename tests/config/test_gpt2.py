"""GPT2Config: defaults, computed values, presets, and what it refuses."""

import copy
import dataclasses
import math
import pickle
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.fields import text
from gpt2hydra.config.gpt2 import CONF_DIR, MODEL_DIR, GPT2Config, preset_names
from tests.strategies import gpt2_configs

SIZES = {"small": (12, 768, 12), "medium": (24, 1024, 16), "large": (36, 1280, 20), "xl": (48, 1600, 25)}


def test_defaults_are_gpt2_small() -> None:
    assert GPT2Config() == GPT2Config.gpt2_small()
    assert GPT2Config().to_dict() == {
        "vocab_size": 50257,
        "n_positions": 1024,
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "resid_pdrop": 0.1,
        "embd_pdrop": 0.1,
        "attn_pdrop": 0.1,
        "layer_norm_epsilon": 1e-5,
        "n_inner": 3072,
    }


def test_arguments_are_positional_in_the_documented_order() -> None:
    assert GPT2Config(257, 64, 32, 2, 4, 0, 0.2, 0.3, 1e-6) == GPT2Config(
        vocab_size=257,
        n_positions=64,
        n_embd=32,
        n_layer=2,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.2,
        attn_pdrop=0.3,
        layer_norm_epsilon=1e-6,
    )


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_presets_are_openais_sizes(name: str, size: tuple[int, int, int]) -> None:
    config = GPT2Config.preset(name)
    assert (config.n_layer, config.n_embd, config.n_head) == size
    assert config.head_dim == 64
    assert getattr(GPT2Config, f"gpt2_{name}")() == config
    assert config is not GPT2Config.preset(name)


def test_presets_lists_every_file_by_width() -> None:
    assert list(GPT2Config.presets()) == ["small", "medium", "large", "xl"]
    assert set(GPT2Config.presets()) == set(preset_names()) == set(SIZES)


def test_size_files_hold_a_few_lines_and_nothing_else() -> None:
    for file in MODEL_DIR.iterdir():
        assert set(yaml.safe_load(file.read_text())) <= {field.name for field in dataclasses.fields(GPT2Config)}
        assert len(file.read_text().splitlines()) <= 4, file


def test_a_size_file_needs_no_other_change(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.yaml").write_text("n_layer: 2\nn_embd: 64\nn_head: 2\nlayer_norm_epsilon: 1e-6\n")
    monkeypatch.setattr("gpt2hydra.config.gpt2.MODEL_DIR", tmp_path)
    assert GPT2Config.presets() == {"tiny": GPT2Config(n_layer=2, n_embd=64, n_head=2, layer_norm_epsilon=1e-6)}


def test_a_broken_size_file_is_named(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.yaml").write_text("n_layers: 2\n")
    monkeypatch.setattr("gpt2hydra.config.gpt2.MODEL_DIR", tmp_path)
    with pytest.raises(ConfigError, match=r"n_layers = 2\n    unknown key; did you mean n_layer\?\n    set by .*bad.yaml"):
        GPT2Config.preset("bad")


def test_an_unknown_size_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"known: large, medium, small, xl; did you mean large\?"):
        GPT2Config.preset("lrge")


@pytest.mark.parametrize("name", ["../model/small", "../train", "", "small.yaml"])
def test_a_preset_is_a_name_and_no_path(name: str) -> None:
    with pytest.raises(ConfigError, match="is not a size"):
        GPT2Config.preset(name)


def test_a_subclass_may_have_fields_of_its_own() -> None:
    @dataclasses.dataclass(frozen=True)
    class Named(GPT2Config):
        label: str = text("mine", "a label")

    assert (Named(n_embd=64, n_head=4).n_inner, Named(label="other").label) == (256, "other")


def test_a_subclass_without_fields_of_its_own_needs_no_decorator() -> None:
    class Mine(GPT2Config): ...

    assert type(Mine.gpt2_xl()) is Mine
    assert Mine(n_embd=64, n_head=4).n_inner == 256


def test_n_inner_is_computed_and_never_a_parameter() -> None:
    assert GPT2Config(n_embd=512, n_layer=6, n_head=8).n_inner == 2048
    with pytest.raises(TypeError, match="n_inner"):
        GPT2Config(n_inner=5)
    with pytest.raises((TypeError, ValueError), match="n_inner"):  # TypeError since Python 3.13
        dataclasses.replace(GPT2Config(), n_inner=5)


def test_replace_validates_again_and_recomputes() -> None:
    assert dataclasses.replace(GPT2Config(), n_embd=960).n_inner == 3840
    with pytest.raises(ConfigError, match="must divide n_embd = 961"):
        dataclasses.replace(GPT2Config(), n_embd=961)


def test_a_config_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        GPT2Config().n_embd = 5  # type: ignore[misc]


@given(gpt2_configs())
def test_copies_are_equal(config: GPT2Config) -> None:
    copies = [
        copy.deepcopy(config),
        pickle.loads(pickle.dumps(config)),
        dataclasses.replace(config),
        GPT2Config.from_dict(config.to_dict()),
        GPT2Config.from_dict({key: value for key, value in config.to_dict().items() if key != "n_inner"}),
    ]
    assert all(each == config and hash(each) == hash(config) and each.n_inner == 4 * each.n_embd for each in copies)
    assert dataclasses.asdict(config) == config.to_dict()


@pytest.mark.parametrize("name", ["vocab_size", "n_positions", "n_embd", "n_layer", "n_head"])
@pytest.mark.parametrize(
    "value",
    [0, -1, True, 12.0, "12", None, 10**9, 10**5000, [12], float("nan")],
    ids=["zero", "negative", "bool", "float", "text", "null", "huge", "5000 digits", "list", "nan"],
)
def test_integers_are_strict(name: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        GPT2Config(**{name: value})  # type: ignore[arg-type]
    assert name in {violation.key for violation in caught.value.violations}
    assert "must be" in str(caught.value)


@pytest.mark.parametrize("name", ["resid_pdrop", "embd_pdrop", "attn_pdrop"])
@pytest.mark.parametrize(
    "value", [-0.1, 1.1, math.nan, math.inf, -math.inf, True, "0.1", None, 10**400], ids=lambda value: repr(value)[:8]
)
def test_dropouts_are_probabilities(name: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        GPT2Config(**{name: value})  # type: ignore[arg-type]
    assert [violation.key for violation in caught.value.violations] == [name]


@pytest.mark.parametrize("value", [0, -1e-5, math.nan, math.inf, "1e-5"])
def test_epsilon_is_finite_and_positive(value: Any) -> None:
    with pytest.raises(ConfigError, match="layer_norm_epsilon"):
        GPT2Config(layer_norm_epsilon=value)


def test_an_int_where_a_float_is_meant_becomes_a_float() -> None:
    config = GPT2Config(resid_pdrop=0, embd_pdrop=1)
    assert (type(config.resid_pdrop), type(config.embd_pdrop)) == (float, float)


def test_all_violations_are_reported_at_once_in_the_order_of_the_fields() -> None:
    with pytest.raises(ConfigError) as caught:
        GPT2Config(attn_pdrop=2, n_layer=0, vocab_size=1.5, n_head=7)  # type: ignore[arg-type]
    assert [violation.key for violation in caught.value.violations] == ["vocab_size", "n_layer", "n_head", "attn_pdrop"]


@given(st.integers(1, 4096), st.integers(1, 64))
def test_heads_divide_the_width_or_the_nearest_that_do_are_named(n_embd: int, n_head: int) -> None:
    try:
        config = GPT2Config(n_embd=n_embd, n_head=n_head)
    except ConfigError as error:
        (violation,) = error.violations
        assert n_embd % n_head != 0
        assert violation.key == "n_head"
        assert set(violation.remedy) == {"n_head"}
        assert GPT2Config.from_dict({"n_embd": n_embd, **violation.remedy}).n_embd == n_embd
    else:
        assert config.head_dim * n_head == n_embd


def test_swapped_layers_and_heads_are_recognised() -> None:
    with pytest.raises(ConfigError, match=r"look swapped: xl has 48 layers, 25 heads\n    try: n_head=25 n_layer=48"):
        GPT2Config(n_embd=1600, n_layer=25, n_head=48)


def test_the_report_reads_as_designed() -> None:
    with pytest.raises(ConfigError) as caught:
        GPT2Config(n_embd=1280, n_head=7, resid_pdrop=1.5)
    assert str(caught.value) == (
        "2 problems in the configuration.\n"
        "\n"
        "  n_head = 7\n"
        "    must divide n_embd = 1280 (nearest: 5, 8; or n_embd for 7 heads: 1274, 1281)\n"
        "    try: n_head=8\n"
        "\n"
        "  resid_pdrop = 1.5\n"
        "    must be ≥ 0 and ≤ 1"
    )


def test_config_error_is_what_callers_catch() -> None:
    with pytest.raises(ValueError, match="n_head"):
        GPT2Config(n_head=7)
    with pytest.raises(AssertionError):
        GPT2Config(n_head=7)


def test_from_dict_is_strict() -> None:
    with pytest.raises(ConfigError) as caught:
        GPT2Config.from_dict({"n_inner": 5, "n_hed": 3, "n_layer": "12"})
    assert [violation.key for violation in caught.value.violations] == ["n_layer", "n_inner", "n_hed"]
    with pytest.raises(ConfigError, match="must be a mapping"):
        GPT2Config.from_dict([("n_layer", 2)])  # type: ignore[arg-type]


def test_conf_dir_holds_the_primary_configs() -> None:
    assert {file.name for file in CONF_DIR.glob("*.yaml")} == {"train.yaml", "generate.yaml"}
