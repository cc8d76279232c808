"""The memory of real runs on a CPU against the plan's.

Run: ``python -m benchmarks.memory [PART OF A NAME ...]``. Each case is a run of ten steps, after which
nothing grows any more, in a process of its own. What it takes is the most that is resident, less that of a
run of the smallest model: what Python and its libraries need.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import gpt2hydra
from benchmarks.training import REPOSITORY, run
from gpt2hydra.sizing.plan import Plan
from gpt2hydra.utils.formatting import format_bytes

FEW_STEPS = (
    *("training.max_steps=10", "training.warmup_steps=1", "training.eval_interval=10", "training.eval_sequences=8"),
    *("training.device=cpu", "training.sample_tokens=0"),
)
SMALLEST = ("model.vocab_size=257", "model.n_positions=8", "model.n_embd=8", "model.n_layer=1", "model.n_head=1")

CHECKPOINTING = "training.gradient_checkpointing=true"
BF16 = "training.precision=bf16"
NO_DROPOUT = ("model.resid_pdrop=0", "model.embd_pdrop=0", "model.attn_pdrop=0")
TWO_PASSES, FOUR_PASSES = (f"training.gradient_accumulation_steps={count}" for count in (2, 4))


def shape(layers: int, width: int, heads: int, positions: int, batch: int, vocabulary: int = 257) -> tuple[str, ...]:
    """Overrides of a model and its batch."""
    model = {"n_layer": layers, "n_embd": width, "n_head": heads, "n_positions": positions, "vocab_size": vocabulary}
    return (*(f"model.{key}={value}" for key, value in model.items()), f"training.batch_size={batch}")


CASES: dict[str, tuple[str, ...]] = {
    "0.8M, batch 16": shape(4, 128, 4, 64, 16),
    "0.8M, batch 128": shape(4, 128, 4, 64, 128),
    "0.8M, batch 256, no dropout": (*shape(4, 128, 4, 64, 256), *NO_DROPOUT),
    "0.8M, 64 x 4 passes": (*shape(4, 128, 4, 64, 64), FOUR_PASSES),
    "0.8M, batch 512, checkpointing": (*shape(4, 128, 4, 64, 512), CHECKPOINTING),
    "0.8M, 64 x 4 passes, checkpointing": (*shape(4, 128, 4, 64, 64), FOUR_PASSES, CHECKPOINTING),
    "10.7M, batch 16": shape(6, 384, 6, 256, 16),
    "10.7M, batch 16, bf16": (*shape(6, 384, 6, 256, 16), BF16),
    "10.7M, 16 x 2 passes, checkpointing": (*shape(6, 384, 6, 256, 16), TWO_PASSES, CHECKPOINTING),
    "124M, batch 2": shape(12, 768, 12, 256, 2, 50257),
    "124M, batch 2, checkpointing": (*shape(12, 768, 12, 256, 2, 50257), CHECKPOINTING),
    "124M, 2 x 2 passes, bf16": (*shape(12, 768, 12, 256, 2, 50257), TWO_PASSES, BF16),
}


def predicted(overrides: Sequence[str]) -> int:
    """Bytes that the plan says the steps take of this machine."""
    return Plan(gpt2hydra.compose("train", [*FEW_STEPS, *overrides])).memory.resident


def resident(overrides: Sequence[str], folder: Path) -> int:
    """Bytes that a run took at most."""
    command = [sys.executable, str(REPOSITORY / "train.py"), *FEW_STEPS, *overrides, f"hydra.run.dir={folder / 'run'}"]
    return run(command, folder, PYTHONPATH=str(REPOSITORY)).peak


def measured(names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Name, and bytes that the run of the case took."""
    with tempfile.TemporaryDirectory() as name:
        libraries = resident([*SMALLEST, "training.batch_size=1"], Path(name))
        yield "Python and libraries", libraries
    for case in names:
        with tempfile.TemporaryDirectory() as name:
            yield case, resident(CASES[case], Path(name)) - libraries


def main() -> None:
    """Print predicted and measured memory, and their ratio, of each case."""
    names = [name for name in CASES if not sys.argv[1:] or any(part in name for part in sys.argv[1:])]
    print(f"{'':<36} {'predicted':>12} {'measured':>12} {'ratio':>8}")
    for name, count in measured(names):
        plan = predicted(CASES[name]) if name in CASES else None
        ratio = "" if plan is None else f"{plan / count:.2f}"
        print(f"{name:<36} {'' if plan is None else format_bytes(plan):>12} {format_bytes(count):>12} {ratio:>8}", flush=True)


if __name__ == "__main__":
    main()
