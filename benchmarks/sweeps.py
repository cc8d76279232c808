"""Composing in one process, preflight, and whole sweeps, ours against bare Hydra.

Run: ``python -m benchmarks.sweeps``, about six minutes; ``--quick`` only sees that it still runs.
"""

from __future__ import annotations

import gc
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import OmegaConf

import gpt2hydra
from benchmarks.peers import compare, is_quick, process, python, write_apps
from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.schema import register_schemas
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.launch.preflight import Preflight
from tests.hydra_api import hydra_in

POINTS = [
    [f"model={size}", f"training.batch_size={batch}", f"training.seed={seed}"]
    for size in ("small", "medium", "large", "xl")
    for batch in (1, 2, 4, 8, 16)
    for seed in range(50)
]


def _timed(work: Callable[[], Any]) -> Callable[[], float]:
    def run() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return run


def _by_hydra(points: list[list[str]]) -> None:
    for point in points:
        OmegaConf.to_object(compose("train", point))


def _by_us(points: list[list[str]]) -> None:
    for point in points:
        gpt2hydra.compose("train", point)


def _memory_growth(work: Callable[[list[list[str]]], Any], count: int) -> None:
    work(POINTS[::10])
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for start in range(0, count, 100):
        work([["model=large", f"training.seed={number}"] for number in range(start, start + 100)])
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    print(f"memory after {count:,} different points: {grown / 1e6:+.2f} MB")


def main() -> None:
    quick = is_quick()
    points, jobs, rounds = (POINTS[::50], 3, 1) if quick else (POINTS, 100, 3)
    register_schemas()
    print(f"{'':<58} {'ours':>12} {'peer':>12}")
    with hydra_in(CONF_DIR):
        few = POINTS[::50]
        ours, hydras = _timed(lambda: _by_us(few)), _timed(lambda: _by_hydra(few))
        compare("20 configs with compose() / hydra.compose + to_object", ours, hydras, 0.35, rounds)
        ours = _timed(lambda: Preflight(points).compose(Composer("train", CONF_DIR, once=True)))
        hydras = _timed(lambda: _by_hydra(points))
        compare(f"preflight of {len(points):,} points / composing them", ours, hydras, 0.05, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        apps = write_apps(folder)
        sweep = ["-m", f"training.seed=range(0,{jobs})", "hydra.sweep.dir=swept"]
        checked = process(python(apps["ours"], *sweep), folder)
        unchecked = process(python(apps["ours"], *sweep, "preflight=off"), folder)
        compare(f"-m, {jobs} trivial jobs / the same with preflight=off", checked, unchecked, 1.05, rounds)
        compare(f"-m, {jobs} trivial jobs / bare Hydra", checked, process(python(apps["bare"], *sweep), folder), None, rounds)
    _memory_growth(_by_us, 100 if quick else 5000)


if __name__ == "__main__":
    main()
