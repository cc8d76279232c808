"""A checkpoint of ours that transformers saved again comes back, in every way that it saves one. Needs torch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from gpt2hydra import ConfigError  # noqa: E402
from gpt2hydra.checkpoint import model_files  # noqa: E402
from gpt2hydra.checkpoint.huggingface import from_hf  # noqa: E402
from tests.models import TINY, save_tiny  # noqa: E402


def as_it_is(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)


def in_shards(model: Any, folder: Path) -> None:
    model.save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2


def in_half_precision(model: Any, folder: Path) -> None:
    model.half().save_pretrained(folder)


def in_bfloat16_shards(model: Any, folder: Path) -> None:
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="20KB")


def with_its_head(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"lm_head.weight": tensors["transformer.wte.weight"].clone()}, folder / "model.safetensors")


@pytest.mark.parametrize("save", [as_it_is, in_shards, in_half_precision, in_bfloat16_shards, with_its_head])
def test_a_checkpoint_saved_again_by_transformers_is_read(save: Callable[[Any, Path], None], tmp_path: Path) -> None:
    ours = save_tiny(tmp_path / "ours")
    theirs = AutoModelForCausalLM.from_pretrained(ours)
    save(theirs, tmp_path / "again")
    AutoTokenizer.from_pretrained(ours).save_pretrained(tmp_path / "again")
    assert from_hf(tmp_path / "again") == TINY
    model, _ = model_files.load_model(str(tmp_path / "again"))
    expected = {name: each.float() for name, each in theirs.state_dict().items()}
    assert all(torch.equal(each, expected[name]) for name, each in model.state_dict().items())
    assert model.state_dict().keys() == expected.keys()


def test_a_head_of_its_own_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "ours")
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"lm_head.weight": tensors["transformer.wte.weight"] + 1}, folder / "model.safetensors")
    assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"] is True
    with pytest.raises(ConfigError, match=r"lm_head\.weight differs from wte\.weight"):
        model_files.load_model(str(folder))
