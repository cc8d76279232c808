"""Weights, by their headers: which there must be, and what is wrong with those there are."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from gpt2hydra import GPT2Config, sizing
from gpt2hydra.checkpoint import weights
from gpt2hydra.config.errors import ConfigError
from tests.checkpoints import TINY, safetensors, tiny_shapes
from tests.strategies import gpt2_configs


def problems(folder: Path) -> list[str]:
    return weights.check_weights(folder, TINY)


@given(gpt2_configs())
def test_the_tensors_hold_as_many_parameters_as_sizing_says(config: GPT2Config) -> None:
    shapes = weights.tensor_shapes(config).values()
    assert sum(a * (b[0] if b else 1) for a, *b in shapes) == sizing.parameters(config).total


def test_weights_that_fit_have_no_problem(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(safetensors(tiny_shapes()))
    assert problems(tmp_path) == []


def test_the_hubs_names_and_the_masks_of_old_files_fit(tmp_path: Path) -> None:
    hub = {name.removeprefix("transformer."): shape for name, shape in tiny_shapes().items()}
    masks = {"h.0.attn.bias": (1, 1, 16, 16), "h.1.attn.masked_bias": (), "lm_head.weight": (257, 8)}
    (tmp_path / "model.safetensors").write_bytes(safetensors(hub | masks, "BF16"))
    assert problems(tmp_path) == []


def test_shards_fit_together(tmp_path: Path) -> None:
    names = list(tiny_shapes())
    for number, part in enumerate((names[:9], names[9:])):
        (tmp_path / f"part-{number}.safetensors").write_bytes(safetensors({name: tiny_shapes()[name] for name in part}))
    index = {name: f"part-{int(rank >= 9)}.safetensors" for rank, name in enumerate(names)}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    assert problems(tmp_path) == []
    (tmp_path / "part-1.safetensors").unlink()
    assert problems(tmp_path) == ["part-1.safetensors is missing"]


@pytest.mark.parametrize("name", ["../elsewhere.safetensors", "/etc/model.safetensors", "model.bin", 7])
def test_an_index_names_nothing_but_files_next_to_it(name: object, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"wte.weight": name}}))
    with pytest.raises(ConfigError, match=r"must map weights to \.safetensors files next to it"):
        weights.find_weight_files(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transformer.h.1.ln_2.bias": None}, "lacks 1 of the 28 weights of its own config.json; h.1.ln_2.bias is the first"),
        ({"transformer.h.2.ln_2.bias": (8,)}, "has weights that its own config.json does not know; h.2.ln_2.bias is the first"),
        ({"transformer.wpe.weight": (8, 8)}, "has wpe.weight of shape (8, 8); by its own config.json it must be (16, 8)"),
    ],
)
def test_weights_of_another_model(change: dict[str, tuple[int, ...] | None], message: str, tmp_path: Path) -> None:
    shapes = {name: shape for name, shape in (tiny_shapes() | change).items() if shape is not None}
    (tmp_path / "model.safetensors").write_bytes(safetensors(shapes))
    assert problems(tmp_path) == [message]


def test_weights_that_are_no_floating_point_numbers(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(safetensors(tiny_shapes(), "I8"))
    assert problems(tmp_path) == ["has wte.weight in I8; must be one of F64, F32, F16, BF16"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged: it is no safetensors file, or incomplete"),
        (b"\xff" * 100, "is damaged: it is no safetensors file, or incomplete"),
        (b"\x02" + bytes(7) + b"{}", "is damaged: its header cannot be read"),
        (b"\x04" + bytes(7) + b"null", "is damaged: its header cannot be read"),
        (b"\x04" + bytes(7) + b"[[[[", "is damaged: its header cannot be read"),
        (safetensors({"wte.weight": (2, 2)})[:-1], "is damaged: it has 131 bytes, and its header says 132"),
    ],
)
def test_damaged_weights_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    (only,) = problems(tmp_path)
    assert only == f"model.safetensors {message}"


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path) == ["must hold model.safetensors; there are no weights"]


def test_pickled_weights_stay_closed(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    assert problems(tmp_path) == [
        "must hold model.safetensors; pytorch_model.bin is a pickle, which can run code, and is not read; convert it"
    ]


def with_head(**change: Any) -> bytes:
    """Weights that hold the output layer too: eight bytes of it are changed."""
    shapes = {"lm_head.weight": (257, 8), **tiny_shapes()} | change
    content = bytearray(safetensors(shapes))
    start = 8 + int.from_bytes(content[:8], "little")
    content[start + 100 : start + 108] = b"12345678"
    return bytes(content)


UNTIED = (
    "has an output layer of its own: lm_head.weight differs from wte.weight, "
    "but its config.json says that they are the same (tie_word_embeddings)"
)


def test_an_output_layer_that_is_the_embedding_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / weights.MODEL_FILE).write_bytes(safetensors(tiny_shapes() | {"lm_head.weight": (257, 8)}))
    assert problems(tmp_path) == []


@pytest.mark.parametrize("where", ["one file", "two shards"])
def test_an_output_layer_that_differs_is_refused(where: str, tmp_path: Path) -> None:
    if where == "one file":
        (tmp_path / weights.MODEL_FILE).write_bytes(with_head())
    else:
        (tmp_path / "a.safetensors").write_bytes(with_head())
        shards = dict.fromkeys((*tiny_shapes(), "lm_head.weight"), "a.safetensors")
        (tmp_path / weights.INDEX_FILE).write_text(json.dumps({"weight_map": shards}))
    assert problems(tmp_path) == [UNTIED]


def test_an_output_layer_of_another_shape_is_refused(tmp_path: Path) -> None:
    (tmp_path / weights.MODEL_FILE).write_bytes(safetensors(tiny_shapes() | {"lm_head.weight": (256, 8)}))
    assert problems(tmp_path) == [UNTIED]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param(
            "model.fp16.safetensors",
            "must hold model.safetensors; there is model.fp16.safetensors, weights that transformers saved with variant=fp16; "
            "save them without it",
            id="a variant",
        ),
        pytest.param("weights.safetensors", "must hold model.safetensors; there is weights.safetensors", id="another name"),
        pytest.param(
            "\x1b[2Jmodel.safetensors", "must hold model.safetensors; there is '\\x1b[2Jmodel.safetensors'", id="an escape"
        ),
    ],
)
def test_weights_under_another_name_are_reported(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(safetensors(tiny_shapes()))
    assert problems(tmp_path) == [message]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_for_a_shard_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.safetensors")
    (tmp_path / weights.INDEX_FILE).write_text(json.dumps({"weight_map": {"wte.weight": "a.safetensors"}}))
    assert problems(tmp_path) == ["a.safetensors is not a regular file"]


def test_one_tensor_under_two_names(tmp_path: Path) -> None:
    (tmp_path / weights.MODEL_FILE).write_bytes(safetensors(tiny_shapes() | {"ln_f.weight": (2,)}))
    assert weights.check_weights(tmp_path, TINY) == ["model.safetensors holds ln_f.weight twice"]
