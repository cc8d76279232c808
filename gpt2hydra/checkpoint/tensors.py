"""The weights of a checkpoint: which tensors there must be, and whether the files hold them. Standard library only.

Files are safetensors: 8 bytes of header length, the header in JSON, then the tensors. The header alone tells whether a file is
whole and belongs to the config beside it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.strict_json import read_json

FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"
LARGEST_INDEX = 100_000_000
"""Bytes of an index or of the header of a weights file."""

FLOATS = ("F64", "F32", "F16", "BF16")

Shape = tuple[int, ...]


def shapes(config: GPT2Config) -> dict[str, Shape]:
    """Every tensor of a GPT-2, under its name in transformers' ``GPT2Model``. The output layer is ``wte`` again.

    Weights of linear layers lie as (inputs, outputs), as in OpenAI's gpt-2/src/model.py.
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
        "wte.weight": (config.vocab_size, d),
        "wpe.weight": (config.n_positions, d),
        **{f"{name}.{part}": shape for name, parts in layers.items() for part, shape in parts.items()},
        "ln_f.weight": (d,),
        "ln_f.bias": (d,),
    }


def canonical(name: str) -> str | None:
    """The name of a tensor of a file in :func:`shapes`; None for what GPT-2 computes by itself.

    That is the output layer, tied to ``wte``, and the causal masks that older versions of transformers saved.
    """
    name = name.removeprefix("transformer.")
    return None if name == "lm_head.weight" or re.fullmatch(r"h\.\d+\.attn\.(masked_)?bias", name) else name


def files(folder: Path) -> list[Path]:
    """The safetensors files of a folder; none if there are none.

    Raises:
        ConfigError: the index of a sharded checkpoint is damaged, or names anything but files beside it.
    """
    if (folder / FILE).is_file() or not (folder / INDEX).is_file():
        return [folder / FILE] * (folder / FILE).is_file()
    shards = read_json(folder / INDEX, LARGEST_INDEX).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(map(_is_shard, shards.values())):
        raise ConfigError([Violation(str(folder / INDEX), rule="must map weights to .safetensors files beside it")])
    return [folder / name for name in sorted(set(shards.values()))]


def _is_shard(name: object) -> bool:
    return isinstance(name, str) and name.endswith(".safetensors") and Path(name).name == name


def problems(folder: Path, config: GPT2Config) -> list[str]:
    """The rules that the weights in ``folder`` break; none if they are whole and fit ``config``.

    Raises:
        ConfigError: as :func:`files` does.
    """
    there = files(folder)
    if not there:
        return [_no_weights(folder)]
    found: dict[str, Any] = {}
    damaged = []
    for file in there:
        try:
            for name, about in ((canonical(key), about) for key, about in _header(file).items()):
                if name in found:
                    damaged.append(f"{file.name} holds {name} twice")
                elif name is not None:
                    found[name] = about
        except _Damaged as why:
            damaged.append(f"{file.name} {why}")
    return damaged or _misfits(found, shapes(config))


def _no_weights(folder: Path) -> str:
    pickled = sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in folder.glob(pattern))
    if not pickled:
        return f"must hold {FILE}; there are no weights"
    return f"must hold {FILE}; {pickled[0]} is a pickle, which can run code when it is opened, and stays closed"


def _misfits(found: dict[str, Any], expected: dict[str, Shape]) -> list[str]:
    absent = [name for name in expected if name not in found]
    if absent:
        return [f"lacks {len(absent):,} of the {len(expected):,} weights of its own config.json; {absent[0]} is the first"]
    more = [name for name in found if name.startswith("h.") and name not in expected]
    if more:
        return [f"has weights that its own config.json does not know; {more[0]} is the first"]
    for name, shape in expected.items():
        if tuple(found[name]["shape"]) != shape:
            return [f"has {name} of shape {tuple(found[name]['shape'])}; by its own config.json it must be {shape}"]
        if found[name]["dtype"] not in FLOATS:
            return [f"has {name} in {found[name]['dtype']}; must be one of {', '.join(FLOATS)}"]
    return []


class _Damaged(Exception):
    """Why a safetensors file cannot be whole."""


def _header(file: Path) -> dict[str, dict[str, Any]]:
    """Tensor → ``dtype``, ``shape`` and ``data_offsets``."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(size - 8, LARGEST_INDEX):
                raise _Damaged("is damaged: it is no safetensors file, or cut short")
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        end = 8 + length + max(about["data_offsets"][1] for about in header.values())
        if not all(isinstance(about["shape"], list) and isinstance(about["dtype"], str) for about in header.values()):
            raise TypeError
    except FileNotFoundError:
        raise _Damaged("is missing") from None
    except OSError as error:
        raise _Damaged(f"cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise _Damaged("is damaged: its header cannot be read") from None
    if size != end:
        raise _Damaged(f"is damaged: it has {size:,} bytes, and its header says {end:,}")
    return header  # type: ignore[no-any-return]
