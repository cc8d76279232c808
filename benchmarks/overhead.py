"""What a training run spends on everything but its steps: evaluations, checkpoints, the picture of the losses.

Run: ``python -m benchmarks.overhead``, as long as a quickstart of 2,000 steps takes; overrides may follow, as in
``python -m benchmarks.overhead training.max_steps=400``. All parts are of one run, so other work on the machine
slows each of them alike. The evaluation at the end, whose length is ``training.final_eval_sequences``, is no part
of the sum.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gpt2hydra
from gpt2hydra.runs.loss_plot import LossPlot
from gpt2hydra.training.checkpointing import Checkpointer
from gpt2hydra.training.run import train
from gpt2hydra.training.trainer import Trainer

PARTS = ("evaluations", "checkpoints", "picture")

seconds: defaultdict[str, float] = defaultdict(float)


def measure(owner: type, method: str, part: str, clock: Callable[[], float] = time.perf_counter) -> None:
    """Add up the seconds within a method."""
    measured: Callable[..., Any] = getattr(owner, method)

    def measuring(*arguments: Any, **named: Any) -> Any:
        began = clock()
        try:
            return measured(*arguments, **named)
        finally:
            seconds[part] += clock() - began

    setattr(owner, method, measuring)


def main() -> None:
    measure(Trainer, "train", "all")
    measure(Trainer, "evaluate", "evaluations")
    measure(Trainer, "final_evaluation", "evaluation at the end")
    measure(Checkpointer, "save", "checkpoints")
    measure(Checkpointer, "prune", "checkpoints")
    measure(LossPlot, "update", "picture", time.thread_time)  # in a thread of its own
    config = gpt2hydra.compose("train", ["experiment=quickstart", "training.max_steps=2000", *sys.argv[1:]])
    with tempfile.TemporaryDirectory() as folder:
        train(config, Path(folder) / "run")
    of_run = seconds["all"] - seconds["evaluation at the end"]
    print(f"\nShare of {of_run:.0f} seconds, of which {config.training.max_steps:,} steps are the rest:")
    for part in (*PARTS, "evaluation at the end"):
        print(f"  {part:<24} {seconds[part] / of_run:7.2%}   {seconds[part]:.1f} s")
    print(f"  {'the first three':<24} {sum(seconds[part] for part in PARTS) / of_run:7.2%}")


if __name__ == "__main__":
    main()
