"""What a run costs, in numbers."""

import json
import subprocess
import sys
from pathlib import Path

import gpt2hydra
from gpt2hydra.sizing.plan import Plan


def test_the_parts_of_the_memory_add_up_to_the_peak() -> None:
    numbers = Plan(gpt2hydra.compose("train", ["model=xl", "hardware=a100_80gb"])).to_dict()
    assert sum(numbers["predicted_memory_bytes"].values()) == numbers["predicted_peak_bytes"]
    device = numbers["device"]
    assert device["memory_bytes"] - sum(device["reserve_bytes"].values()) == device["usable_bytes"]
    assert json.loads(json.dumps(numbers)) == numbers


def test_the_plan_of_a_published_device_imports_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys, gpt2hydra; from gpt2hydra.sizing.plan import Plan; from gpt2hydra.sizing.describe import describe;"
        "describe(Plan(gpt2hydra.compose('train', ['model=xl', 'hardware=a100_80gb']))); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
