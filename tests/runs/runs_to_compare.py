"""Run directories with loss curves, made without training: what comparisons, pictures and reports are of."""

import csv
import itertools
import math
from pathlib import Path
from typing import Any

import gpt2hydra
from gpt2hydra import TrainConfig
from gpt2hydra.runs.metrics_csv import COLUMNS, LOSS_CSV
from tests.run_directories import make_run


def config(*overrides: str) -> TrainConfig:
    """50 steps, unless the overrides say otherwise."""
    built: TrainConfig = gpt2hydra.compose("train", ["training.max_steps=50", "training.warmup_steps=5", *overrides])
    return built


def write_losses(folder: Path, *losses: tuple[int, float | None]) -> None:
    """A ``loss.csv`` with ``(step, validation loss)``; every other column that may be empty is."""
    with (folder / LOSS_CSV).open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for step, loss in losses:
            others: dict[str, Any] = {name: 0 for name in ("tokens", "skipped_steps") if name in COLUMNS}
            writer.writerow({**others, "step": step, "validation_loss": "" if loss is None else loss})


def make_sweep(folder: Path, seeds: int = 3) -> Path:
    """A finished sweep of 2 architectures, 3 learning rates and some seeds, with loss curves."""
    points = itertools.product((("2", "64"), ("4", "128")), (3e-4, 1e-3, 3e-3), range(1, seeds + 1))
    for number, ((layers, width), rate, seed) in enumerate(points):
        shape = (f"model.n_layer={layers}", f"model.n_embd={width}", "model.n_head=4")
        settings = config(*shape, f"training.learning_rate={rate}", f"training.seed={seed}")
        loss = 2.2 - 0.1 * int(layers) + 0.3 * abs(math.log10(rate) + 3) + 0.02 * (seed - 2)
        run = make_run(folder / str(number), settings, step=50, loss=loss)
        write_losses(run, (0, 5.5), *((step, loss + 2.5 * math.exp(-step / 10)) for step in range(5, 51, 5)))
    return folder
