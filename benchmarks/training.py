"""Training against nanoGPT's own ``train.py``: the same bytes, shape, threads and settings, whole commands, interleaved.

Run: ``python -m benchmarks.training NANOGPT [start|speed|small|run ...]``, where NANOGPT is a checkout of
karpathy/nanoGPT.

    start    seconds from the command to its 20th step, which is an evaluation
    speed    tokens/s of the character model (4 layers, 4 heads, 128 wide, block 64, batch 12)
    small    tokens/s of GPT-2 small at block 256, batch 2, fp32
    run      nanoGPT's CPU setting for 2,000 steps: seconds of the whole command, loss over the whole validation text

Each as many rounds as ``--rounds``, first theirs, then ours; ``--compile`` compiles both. The text is the
Python language reference that every Python has, byte by byte. nanoGPT has biases here, as GPT-2 does; with
``--tanh`` it also has GPT-2's own GELU, of which PyTorch's kernel takes twice as long on a CPU as of
nanoGPT's. ``--quick`` only sees that it still runs.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import pickle
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gpt2hydra.data.text import reference

REPOSITORY = Path(__file__).resolve().parents[1]
VOCABULARY = 257

CHARACTERS = {"n_layer": 4, "n_head": 4, "n_embd": 128, "block_size": 64, "batch_size": 12}
SMALL = {"n_layer": 12, "n_head": 12, "n_embd": 768, "block_size": 256, "batch_size": 2}

OUR_NAMES = {
    "n_layer": "model.n_layer",
    "n_head": "model.n_head",
    "n_embd": "model.n_embd",
    "block_size": "model.n_positions",
    "batch_size": "training.batch_size",
    "max_iters": "training.max_steps",
    "learning_rate": "training.learning_rate",
    "warmup_iters": "training.warmup_steps",
    "beta2": "training.adam_beta2",
    "eval_interval": "training.eval_interval",
}
"""nanoGPT's key → ours."""

WHOLE_LOSS = """
import sys, numpy as np, torch
from model import GPT, GPTConfig
saved = torch.load("out/ckpt.pt", weights_only=True)
model = GPT(GPTConfig(**saved["model_args"]))
model.load_state_dict(saved["model"])
model.eval()
tokens = torch.from_numpy(np.fromfile("data/bench/val.bin", dtype=np.uint16).astype(np.int64))
size = saved["model_args"]["block_size"]
count = (len(tokens) - 1) // size
inputs, targets = tokens[: count * size].view(count, size), tokens[1 : count * size + 1].view(count, size)
with torch.no_grad():
    losses = [model(x, y)[1].item() * len(x) for x, y in zip(inputs.split(64), targets.split(64))]
print(sum(losses) / count)
"""
"""nanoGPT's checkpoint over the whole validation text."""


@dataclass(frozen=True)
class Outcome:
    """Of one command."""

    seconds: float
    peak: int
    """Bytes that were resident at most."""
    tokens_per_second: float
    loss: float | None
    start: float
    """Seconds until the 20th step was done."""


class Command(NamedTuple):
    """What a command took and printed."""

    seconds: float
    peak: int
    """Bytes that were resident at most."""
    text: str
    reached: float
    """Seconds until it printed a certain line; NaN if it did not."""


def run(command: Sequence[str], folder: Path, until: str = "$^", **environment: str) -> Command:
    """Run a command to its end. ``until``: a pattern of the line whose time is wanted."""
    start, reached, lines = time.perf_counter(), math.nan, []
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
    output: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=folder, env=environment, **output) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if math.isnan(reached) and re.search(until, line):
                reached = time.perf_counter() - start
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds, text = time.perf_counter() - start, "".join(lines)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\n{text[-3000:]}\nended with {process.returncode}")
    return Command(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024), text, reached)


# --------------------------------------------------------------------------------------------------------- the contenders


class Theirs:
    """nanoGPT's train.py, in a copy with the text as its dataset."""

    def __init__(self, checkout: Path, folder: Path, text: bytes, tanh: bool) -> None:
        self.folder = folder
        for file in checkout.glob("*.py"):
            shutil.copy(file, folder)
        if tanh:
            model = folder / "model.py"
            model.write_text(model.read_text().replace("nn.GELU()", 'nn.GELU(approximate="tanh")'))
        data = folder / "data/bench"
        data.mkdir(parents=True)
        cut = int(len(text) * 0.9)
        for name, part in (("train", text[:cut]), ("val", text[cut:])):
            (data / f"{name}.bin").write_bytes(array("H", list(part)).tobytes())
        (data / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": VOCABULARY}))

    def __call__(self, settings: Mapping[str, float], compiles: bool, whole: bool = False) -> Outcome:
        """Train; with ``whole``, measure the checkpoint over the whole validation text, outside the seconds."""
        fixed = {"dataset": "bench", "out_dir": "out", "device": "cpu", "dtype": "float32", "compile": compiles, "bias": True}
        fixed |= {"gradient_accumulation_steps": 1, "log_interval": 1, "always_save_checkpoint": whole}
        # lr_decay_iters and min_lr end the schedule as ours ends
        all_of_them = {**fixed, **settings, "lr_decay_iters": settings["max_iters"], "min_lr": settings["learning_rate"] / 10}
        command = [sys.executable, "train.py", *(f"--{key}={value}" for key, value in all_of_them.items())]
        seconds, peak, text, start = run(command, self.folder, "^iter 19: ")
        milliseconds = [float(each) for each in re.findall(r"iter \d+: loss [\d.]+, time ([\d.]+)ms", text)]
        rate = settings["batch_size"] * settings["block_size"] / (statistics.median(milliseconds) / 1000)
        loss = float(run([sys.executable, "-c", WHOLE_LOSS], self.folder).text.split()[-1]) if whole else None
        return Outcome(seconds, peak, rate, loss, start)


class Ours:
    """This checkout's train.py."""

    def __init__(self, folder: Path, text: bytes) -> None:
        self.folder, self.file = folder, folder / "text.txt"
        self.file.write_bytes(text)
        self.count = 0

    def __call__(self, settings: Mapping[str, float], compiles: bool, whole: bool = False) -> Outcome:
        """Train; the loss over the whole validation text is in the record."""
        overrides = [f"{OUR_NAMES[key]}={value}" for key, value in settings.items() if key in OUR_NAMES]
        overrides += [f"model.vocab_size={VOCABULARY}", "training.device=cpu", f"training.compile={str(compiles).lower()}"]
        overrides += [f"model.{name}=0" for name in ("resid_pdrop", "embd_pdrop", "attn_pdrop")]
        overrides += ["training.log_interval=10", "training.sample_tokens=0", "data.order=random", f"data.path={self.file}"]
        overrides.append(f"training.eval_sequences={settings['eval_iters'] * settings['batch_size']:.0f}")
        self.count += 1
        directory = self.folder / f"run-{self.count}"
        train = [sys.executable, str(REPOSITORY / "train.py"), *overrides, f"hydra.run.dir={directory}"]
        seconds, peak, _, start = run(train, self.folder, "^step +20 of ", PYTHONPATH=str(REPOSITORY))
        with (directory / "loss.csv").open(newline="") as file:
            rates = [float(row["tokens_per_second"]) for row in csv.DictReader(file) if row["tokens_per_second"]]
        result = json.loads((directory / "run.json").read_text())["result"]
        return Outcome(seconds, peak, statistics.median(rates), result["validation_loss"] if whole else None, start)


# ----------------------------------------------------------------------------------------------------------- what is told


def compare(title: str, theirs: Callable[[], Outcome], ours: Callable[[], Outcome], rounds: int) -> None:
    """Run both in turn, and print what each reached and the ratios."""
    pairs = [(theirs(), ours()) for _ in range(rounds)]
    print(f"\n{title}, {rounds} rounds")
    print(f"  {'':<24} {'nanoGPT':>12} {'gpt2hydra':>12} {'ours/theirs':>12}   of each round")
    of: dict[str, Callable[[Outcome], float]] = {
        "tokens/s": lambda each: each.tokens_per_second,
        "seconds, whole command": lambda each: each.seconds,
        "seconds to the 20th step": lambda each: each.start,
        "resident, MB": lambda each: each.peak / 1e6,
    }
    for label, measure in of.items():
        them, us = ([measure(pair[side]) for pair in pairs] for side in (0, 1))
        ratios = [one / other for one, other in zip(us, them, strict=True)]
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        middle = statistics.median(ratios)
        print(f"  {label:<24} {statistics.median(them):>12,.1f} {statistics.median(us):>12,.1f} {middle:>12.2f}   {each}")
    if pairs[0][0].loss is not None:
        losses = [[pair[side].loss or 0.0 for pair in pairs] for side in (0, 1)]
        theirs_loss, ours_loss = (statistics.median(each) for each in losses)
        print(
            f"  {'validation loss':<24} {theirs_loss:>12.4f} {ours_loss:>12.4f} {ours_loss - theirs_loss:>+12.4f}   difference"
        )


def steps(arguments: argparse.Namespace, count: int) -> dict[str, float]:
    """Settings of a run whose speed is looked at: no evaluation but the first and the last."""
    count = 20 if arguments.quick else count
    return {"max_iters": count, "eval_interval": count, "eval_iters": 1, "learning_rate": 1e-3, "warmup_iters": 10}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("nanogpt", type=Path, help="a checkout of karpathy/nanoGPT")
    parser.add_argument("what", nargs="*", help="start, speed, small, run; all if none is named")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tanh", action="store_true", help="GPT-2's own GELU, by the tanh, on both sides")
    parser.add_argument("--compile", action="store_true", help="torch.compile on both sides")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it still runs")
    arguments = parser.parse_args()
    rounds = 1 if arguments.quick else arguments.rounds
    wanted = arguments.what or ["start", "speed", "small", "run"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "theirs").mkdir()
        (folder / "ours").mkdir()
        text = b"\n".join(reference())
        theirs, ours = Theirs(arguments.nanogpt, folder / "theirs", text, arguments.tanh), Ours(folder / "ours", text)
        for what, title, settings, whole in contests(arguments):
            if what in wanted:
                once = (settings, arguments.compile, whole)
                compare(title, lambda once=once: theirs(*once), lambda once=once: ours(*once), rounds)  # type: ignore[misc]


def contests(arguments: argparse.Namespace) -> Iterator[tuple[str, str, dict[str, float], bool]]:
    """Word, title, settings, and whether the loss is looked at."""
    yield "start", "character model, 20 steps", CHARACTERS | steps(arguments, 20), False
    yield "speed", "character model", CHARACTERS | steps(arguments, 400), False
    yield "small", "GPT-2 small, block 256, batch 2", SMALL | steps(arguments, 30), False
    whole = steps(arguments, 2000) | {"eval_iters": 20, "warmup_iters": 100, "beta2": 0.99}
    whole["eval_interval"] = max(1, whole["max_iters"] // 8)
    yield "run", "nanoGPT's CPU setting, 2,000 steps", CHARACTERS | whole, True


if __name__ == "__main__":
    main()
