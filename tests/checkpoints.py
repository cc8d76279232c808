"""Checkpoints and tokenizer files, written byte by byte: without torch."""

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpt2hydra import GPT2Config
from gpt2hydra.checkpoint import weights
from gpt2hydra.checkpoint.huggingface import to_hf
from gpt2hydra.data.tokenizer_files import END_OF_TEXT, char_to_byte

TINY = GPT2Config(vocab_size=257, n_positions=16, n_embd=8, n_layer=2, n_head=2)

ITEM_SIZES = {"F32": 4, "F16": 2, "BF16": 2, "I8": 1}


def safetensors(shapes: Mapping[str, tuple[int, ...]], dtype: str = "F32") -> bytes:
    """A file of zeros."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + math.prod(shape) * ITEM_SIZES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def tiny_shapes() -> dict[str, tuple[int, ...]]:
    """Those of :data:`TINY`, as training names them."""
    return {f"transformer.{name}": shape for name, shape in weights.tensor_shapes(TINY).items()}


def write_bpe(folder: Path, *merges: str) -> Path:
    """``vocab.json`` and ``merges.txt``: the bytes, the merges, and end-of-text."""
    folder.mkdir(parents=True, exist_ok=True)
    vocab = dict(char_to_byte()) | {merge.replace(" ", ""): 256 + rank for rank, merge in enumerate(merges)}
    (folder / "vocab.json").write_text(json.dumps(vocab | {END_OF_TEXT: len(vocab)}), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    return folder


def write_checkpoint(folder: Path, **changes: Any) -> Path:
    """A complete checkpoint of :data:`TINY`; ``changes`` are to its config.json."""
    write_bpe(folder)
    (folder / "config.json").write_text(json.dumps(to_hf(TINY) | changes))
    (folder / "model.safetensors").write_bytes(safetensors(tiny_shapes()))
    return folder
