"""``gpt2hydra import-hf``: the hub's files come back as our sizes, and what we cannot express is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given

from gpt2hydra import ConfigError, GPT2Config
from gpt2hydra.checkpoint.huggingface import from_hf, to_hf
from gpt2hydra.commands.import_hf import yaml_lines
from gpt2hydra.commands.main import main
from gpt2hydra.config.gpt2 import CONF_DIR
from tests.hub import HUB
from tests.strategies import gpt2_configs


@pytest.mark.parametrize("size", HUB)
def test_the_hubs_four_come_back_as_our_presets(size: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(HUB[size]))
    main(["import-hf", str(tmp_path)])
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed == yaml.safe_load((CONF_DIR / "model" / f"{size}.yaml").read_text())
    assert GPT2Config.from_dict(printed) == GPT2Config.preset(size)


def test_only_keys_that_differ_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = GPT2Config(257, 64, 32, 2, 4, 0, 0.25, 0.1, 1e-6)
    (tmp_path / "config.json").write_text(json.dumps(to_hf(config)))
    main(["import-hf", str(tmp_path / "config.json")])
    assert (
        capsys.readouterr().out
        == f"""\
# 35,744 parameters, from {tmp_path}/config.json
n_layer: 2
n_embd: 32
n_head: 4
vocab_size: 257
n_positions: 64
resid_pdrop: 0.0
embd_pdrop: 0.25
layer_norm_epsilon: 1.0e-06
"""
    )
    main(["import-hf", str(tmp_path), "--json"])
    assert GPT2Config.from_dict(json.loads(capsys.readouterr().out)) == config


@given(gpt2_configs())
def test_any_shape_survives_the_way_into_yaml_of_any_reader(config: GPT2Config) -> None:
    read = yaml.safe_load("\n".join(yaml_lines(from_hf(to_hf(config)), Path("a\nb"))))  # YAML 1.1: 1e-06 would be text
    assert GPT2Config.from_dict(read) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"n_inner": 4096}, "n_inner = 4096\n    must be null or 4 * n_embd = 3072", id="a wide MLP"),
        pytest.param({"activation_function": "relu"}, "must be gelu_new or gelu_pytorch_tanh", id="activation"),
        pytest.param({"tie_word_embeddings": False}, "the output layer is the token embedding", id="an output layer"),
        pytest.param({"model_type": "llama"}, "must be gpt2", id="another model"),
    ],
)
def test_settings_that_a_config_json_cannot_express_are_refused_by_name(
    change: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(HUB["small"] | change))
    with pytest.raises(SystemExit) as stop:
        main(["import-hf", str(tmp_path)])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (1, "")
    assert err.startswith(f"1 problem in {tmp_path}.\n\n  ") and message in err and f"set by {tmp_path}/config.json" in err


def test_a_folder_without_a_config_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["import-hf", str(tmp_path)])
    assert f"1 problem in {tmp_path}.\n\n  {tmp_path}/config.json\n    there is no such file" in capsys.readouterr().err


def test_a_text_file_is_no_problem_of_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("To be, or not to be\n")
    with pytest.raises(SystemExit):
        main(["import-hf", str(tmp_path / "notes.txt")])
    assert capsys.readouterr().err.startswith(f"1 problem in {tmp_path}/notes.txt.\n\n  {tmp_path}/notes.txt\n    is not JSON")


def test_an_imported_size_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(HUB["small"] | {"n_layer": 3}))
    main(["import-hf", str(tmp_path)])
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mine.yaml").write_text(capsys.readouterr().out)
    main(["export-hf", "model=mine", "--config-dir", str(tmp_path)])
    assert from_hf(json.loads(capsys.readouterr().out)) == GPT2Config(n_layer=3)
    with pytest.raises(ConfigError):
        GPT2Config.preset("mine")
