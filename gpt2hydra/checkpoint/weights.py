"""The weights of a checkpoint: the required tensors, and the check of the files. Standard library only.

Files are safetensors: 8 bytes of header length, the header in JSON, then the tensors. The header is enough to
check that a file is complete and belongs to the config next to it.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.strict_json import read_json
from gpt2hydra.utils.formatting import error_reason, format_value

MODEL_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
MAX_HEADER_BYTES = 100_000_000
"""Bytes of an index or of the header of a weights file."""

FLOATS = ("F64", "F32", "F16", "BF16")

HEAD, EMBEDDING = "lm_head.weight", "wte.weight"
"""The output layer and the token embedding, which are tied: one tensor, although a file may hold both."""

Shape = tuple[int, ...]


class Tensor(NamedTuple):
    """One tensor of a file."""

    file: Path
    dtype: str
    shape: Shape
    start: int
    end: int
    """Offset in the file, in bytes."""


def tensor_shapes(config: GPT2Config) -> dict[str, Shape]:
    """Name in transformers' ``GPT2Model`` → shape of every tensor. The output layer is ``wte``: left out.

    Weights of linear layers have the shape (inputs, outputs), as in OpenAI's gpt-2/src/model.py.
    """
    d, inner = config.n_embd, config.n_inner
    norm: dict[str, Shape] = {"weight": (d,), "bias": (d,)}
    block: dict[str, dict[str, Shape]] = {
        "ln_1": norm,
        "attn.c_attn": {"weight": (d, 3 * d), "bias": (3 * d,)},
        "attn.c_proj": {"weight": (d, d), "bias": (d,)},
        "ln_2": norm,
        "mlp.c_fc": {"weight": (d, inner), "bias": (inner,)},
        "mlp.c_proj": {"weight": (inner, d), "bias": (d,)},
    }
    layers = {f"h.{layer}.{name}": parts for layer in range(config.n_layer) for name, parts in block.items()}
    return {
        EMBEDDING: (config.vocab_size, d),
        "wpe.weight": (config.n_positions, d),
        **{f"{name}.{part}": shape for name, parts in layers.items() for part, shape in parts.items()},
        "ln_f.weight": (d,),
        "ln_f.bias": (d,),
    }


def canonical_name(name: str) -> str | None:
    """The name in :func:`tensor_shapes` of a tensor in a file; None for tensors that GPT-2 does not need.

    These are the output layer, tied to ``wte``, and the causal masks of older versions of transformers.
    """
    name = name.removeprefix("transformer.")
    return None if name == HEAD or re.fullmatch(r"h\.\d+\.attn\.(masked_)?bias", name) else name


def find_weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder; empty if there are none.

    Raises:
        ConfigError: the index of a sharded checkpoint is damaged, or names anything except files next to it.
    """
    if (folder / MODEL_FILE).is_file() or not (folder / INDEX_FILE).is_file():
        return [folder / MODEL_FILE] * (folder / MODEL_FILE).is_file()
    shards = read_json(folder / INDEX_FILE, MAX_HEADER_BYTES).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(map(_is_shard, shards.values())):
        raise ConfigError([Violation(str(folder / INDEX_FILE), rule="must map weights to .safetensors files next to it")])
    return [folder / name for name in sorted(set(shards.values()))]


def _is_shard(name: object) -> bool:
    return isinstance(name, str) and name.endswith(".safetensors") and Path(name).name == name


def check_weights(folder: Path, config: GPT2Config) -> list[str]:
    """The rules that the weights in ``folder`` break; empty if they are complete and fit ``config``.

    Raises:
        ConfigError: as :func:`find_weight_files` does.
    """
    found_files = find_weight_files(folder)
    if not found_files:
        return [_describe_missing(folder)]
    found: dict[str, Tensor] = {}
    heads: list[Tensor] = []
    damaged = []
    for file in found_files:
        try:
            for key, tensor in _read_header(file).items():
                name = canonical_name(key)
                if name in found:
                    damaged.append(f"{format_value(file.name)} holds {format_value(name)} twice")
                elif name is not None:
                    found[name] = tensor
                elif key.removeprefix("transformer.") == HEAD:
                    heads.append(tensor)
        except _Damaged as why:
            damaged.append(f"{format_value(file.name)} {why}")
    return damaged or _check_shapes(found, tensor_shapes(config)) or _check_tied(heads, found[EMBEDDING])


def _describe_missing(folder: Path) -> str:
    looked_for = f"must hold {MODEL_FILE}"
    others = sorted(file.name for file in folder.glob("*.safetensors"))
    if others:
        variant = re.fullmatch(r"model\.([a-z0-9]+)(-\d+-of-\d+)?\.safetensors", others[0])
        why = f", weights that transformers saved with variant={variant[1]}; save them without it" if variant else ""
        return f"{looked_for}; there is {format_value(others[0])}{why}"
    pickled = sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in folder.glob(pattern))
    if not pickled:
        return f"{looked_for}; there are no weights"
    return f"{looked_for}; {format_value(pickled[0])} is a pickle, which can run code, and is not read; convert it"


def _check_shapes(found: dict[str, Tensor], expected: dict[str, Shape]) -> list[str]:
    absent = [name for name in expected if name not in found]
    if absent:
        return [f"lacks {len(absent):,} of the {len(expected):,} weights of its own config.json; {absent[0]} is the first"]
    more = [name for name in found if name.startswith("h.") and name not in expected]
    if more:
        return [f"has weights that its own config.json does not know; {format_value(more[0])} is the first"]
    for name, shape in expected.items():
        if found[name].shape != shape:
            return [f"has {name} of shape {found[name].shape}; by its own config.json it must be {shape}"]
        if found[name].dtype not in FLOATS:
            return [f"has {name} in {format_value(found[name].dtype)}; must be one of {', '.join(FLOATS)}"]
    return []


def _check_tied(heads: list[Tensor], embedding: Tensor) -> list[str]:
    """Refuse an output layer that differs from the token embedding: loading would change the model."""
    for head in heads:
        same = (head.dtype, head.shape) == (embedding.dtype, embedding.shape)
        if not same or any(one != other for one, other in zip(_read_chunks(head), _read_chunks(embedding), strict=True)):
            return [
                f"has an output layer of its own: {HEAD} differs from {EMBEDDING}, "
                "but its config.json says that they are the same (tie_word_embeddings)"
            ]
    return []


def _read_chunks(tensor: Tensor, size: int = 2**22) -> Iterator[bytes]:
    with tensor.file.open("rb") as stream:
        stream.seek(tensor.start)
        for start in range(tensor.start, tensor.end, size):
            yield stream.read(min(size, tensor.end - start))


class _Damaged(Exception):
    """The reason why a safetensors file cannot be complete."""


def _read_header(file: Path) -> dict[str, Tensor]:
    """Every tensor of a file, by its name in the file."""
    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):  # reading a pipe would wait
            raise _Damaged("is not a regular file")
        size = about.st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(size - 8, MAX_HEADER_BYTES):
                raise _Damaged("is damaged: it is no safetensors file, or incomplete")
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        tensors = {name: _parse_tensor(file, 8 + length, **about) for name, about in header.items()}
        end = max(tensor.end for tensor in tensors.values())
    except FileNotFoundError:
        raise _Damaged("is missing") from None
    except OSError as error:
        raise _Damaged(f"cannot be read: {error_reason(error)}") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise _Damaged("is damaged: its header cannot be read") from None
    if size != end:
        raise _Damaged(f"is damaged: it has {size:,} bytes, and its header says {end:,}")
    return tensors


def _parse_tensor(file: Path, base: int, dtype: str, shape: list[int], data_offsets: list[int]) -> Tensor:
    start, end = data_offsets
    if not (isinstance(dtype, str) and isinstance(shape, list) and 0 <= start <= end):
        raise ValueError
    return Tensor(file, dtype, tuple(shape), base + start, base + end)
