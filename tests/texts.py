"""Configurations of small texts."""

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.data import token_files

if TYPE_CHECKING:
    from gpt2hydra.data.tokens import Tokens

TINY = ("model.n_positions=8", "model.vocab_size=257", "training.batch_size=4")


def configured(path: Path | str | None, *overrides: str) -> TrainConfig:
    config = gpt2hydra.compose("train", [*TINY, *overrides, *([] if path is None else [f"data.path='{path}'"])])
    assert isinstance(config, TrainConfig)
    return config


def bpe(folder: Path, *overrides: str) -> TrainConfig:
    return gpt2hydra.compose("train", ["tokenizer=gpt2", f"tokenizer.path='{folder}'", *overrides])  # type: ignore[no-any-return]


def write_tokens(file: Path, tokens: list[int], *, with_header: bool = True) -> Path:
    content = struct.pack(f"<{len(tokens)}H", *tokens)
    file.write_bytes(token_files.header(len(tokens), 2) + content if with_header else content)
    return file


def read_all(tokens: "Tokens") -> list[int]:
    import numpy as np

    found: list[int] = tokens.windows(np.array([0]), len(tokens))[0].tolist()
    return found
