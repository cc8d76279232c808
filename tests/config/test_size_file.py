"""A size's file means the same whether ``GPT2Config.preset`` reads it or ``model=`` does."""

from pathlib import Path

import pytest

import gpt2hydra
from gpt2hydra import ConfigError, GPT2Config

SHAPE = "n_embd: 64\nn_head: 2\nn_layer: 2\n"


def by_model(folder: Path) -> GPT2Config:
    (folder / "train.yaml").write_text(
        "defaults: [train_schema, {model: mine}, _self_]\ntraining: {seq_len: '${model.n_positions}'}\n"
    )
    config: GPT2Config = gpt2hydra.compose("train", config_dir=folder).model
    return config


@pytest.fixture
def size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "model").mkdir()
    monkeypatch.setattr("gpt2hydra.config.gpt2.MODEL_DIR", tmp_path / "model")
    return tmp_path / "model/mine.yaml"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing more"),
        pytest.param("layer_norm_epsilon: 1e-6", id="1e-6, text for YAML 1.1"),
        pytest.param("resid_pdrop: .1e0", id=".1e0, text for YAML 1.1"),
        pytest.param("n_positions: 1_024", id="underscore"),
        pytest.param("n_positions: '1024'", id="in quotes"),
        pytest.param("embd_pdrop: 0  # none", id="an integer for a float"),
        pytest.param("n_positions: 0x400", id="base 16"),
        pytest.param("n_positions: &many 512\nvocab_size: *many", id="an alias"),
    ],
)
def test_both_readers_find_the_same_size(size: Path, text: str) -> None:
    size.write_text(f"{SHAPE}{text}\n")
    assert GPT2Config.preset("mine") == by_model(size.parent.parent)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        pytest.param("n_positions: 010", "YAML reads it as 8; in the file, write 10", id="base 8"),
        pytest.param("n_positions: 1:30", "YAML reads it as 90; in the file, write 90", id="base 60"),
        pytest.param("n_positions: 12.0", "must be an integer", id="a float for an integer"),
        pytest.param("n_positions: yes", "must be an integer", id="a flag for an integer"),
        pytest.param("n_positions:", "must be an integer", id="null"),
        pytest.param("n_positions: [1]", "must be an integer", id="a list"),
        pytest.param("n_possitions: 12", "unknown key; did you mean n_positions?", id="unknown"),
        pytest.param("n_embd: 64", "has the key n_embd twice", id="a key twice"),
        pytest.param("- 3", "is not YAML: ", id="no YAML"),
    ],
)
def test_both_readers_refuse_the_same(size: Path, text: str, rule: str) -> None:
    size.write_text(f"{SHAPE}{text}\n")
    with pytest.raises(ConfigError) as caught:
        GPT2Config.preset("mine")
    assert rule in caught.value.violations[0].rule
    assert str(size) in caught.value.violations[0].origin
    with pytest.raises(ConfigError):
        by_model(size.parent.parent)


@pytest.mark.parametrize("text", ["defaults: [large]", "n_positions: ${.n_embd}"])
def test_overrides_that_only_hydra_can_read_are_left_to_it(size: Path, text: str) -> None:
    size.write_text(f"{SHAPE}{text}\n")
    with pytest.raises(ConfigError, match=r"needs Hydra; use gpt2hydra\.compose\(\)\n    set by .*mine.yaml:4"):
        GPT2Config.preset("mine")


@pytest.mark.parametrize("content", [b"n_layer: \xff\n", b"[1, 2]\n", b"text\n", b"n_layer: [\n", b"a: \x00\n"])
def test_an_invalid_size_file_does_not_affect_the_other_sizes(size: Path, content: bytes) -> None:
    size.write_bytes(content)
    size.with_name("good.yaml").write_text(SHAPE)
    with pytest.raises(ConfigError, match=r"model = mine\n    .*\n    set by .*mine.yaml"):
        GPT2Config.preset("mine")
    assert GPT2Config.presets() == {"good": GPT2Config(n_embd=64, n_head=2, n_layer=2)}


def test_an_empty_file_is_gpt2_small(size: Path) -> None:
    size.write_text("# nothing\n")
    assert GPT2Config.preset("mine") == GPT2Config()
