"""A run of a second, and what it left."""

import csv
from pathlib import Path
from typing import Any

import gpt2hydra
from gpt2hydra import TrainConfig

TINY = (
    *("model.vocab_size=257", "model.n_positions=16", "model.n_embd=16", "model.n_layer=1", "model.n_head=2"),
    *("model.resid_pdrop=0.1", "training.batch_size=8", "training.learning_rate=0.01", "training.warmup_steps=2"),
    *("training.max_steps=20", "training.eval_interval=10", "training.log_interval=5", "training.eval_sequences=16"),
    *("training.sample_tokens=30", "training.device=cpu"),
)

WITHOUT_DROPOUT = ("model.resid_pdrop=0", "model.attn_pdrop=0", "model.embd_pdrop=0")


def tiny(*overrides: str) -> TrainConfig:
    return gpt2hydra.compose("train", [*TINY, *overrides])  # type: ignore[no-any-return]


def table(folder: Path) -> list[dict[str, str]]:
    """loss.csv."""
    with (folder / "loss.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def curve(folder: Path) -> list[dict[str, str]]:
    """loss.csv without what no two runs have in common."""
    return [{name: cell for name, cell in row.items() if name != "tokens_per_second"} for row in table(folder)]


def weights(folder: Path, step: int) -> bytes:
    """The saved weights of a step, byte for byte."""
    return (folder / f"checkpoints/step-{step:06d}/model.safetensors").read_bytes()


def outcome(folder: Path, step: int) -> tuple[Any, bytes]:
    """All that must be the same of two runs that are the same."""
    return curve(folder), weights(folder, step)
