"""What the benchmarks compare with, and how they time: whole processes, interleaved, medians."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gpt2hydra.composition.hydra_compat import HYDRA
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.keys import fields_of
from gpt2hydra.config.run import TrainConfig

BARE = """import hydra
from dataclasses import dataclass, field
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf
from typing import Any, Optional

{sections}

ConfigStore.instance().store(name="train_schema", node=Train)
register = OmegaConf.register_resolver if {new} else OmegaConf.register_new_resolver
register("gpt2.n_inner", lambda n_embd: 4 * n_embd)

@hydra.main(config_path={conf!r}, config_name="train"{version_base})
def main(config):
    OmegaConf.to_object(config)

if __name__ == "__main__":
    main()
"""

OURS = """import gpt2hydra

@gpt2hydra.main(config_name="train")
def main(config: gpt2hydra.TrainConfig) -> None:
    pass

if __name__ == "__main__":
    main()
"""

OTHERS = {
    "draccus": """import draccus
from dataclasses import dataclass, field
{sections}
draccus.parse(Train, args=["--model.n_head=8"])
""",
    "hydra_zen": """from hydra_zen import store, zen
store(dict(n_embd=768, n_head=12), name="small", group="model")
store(dict(defaults=["_self_", {{"model": "small"}}], model=None), name="train")
if __name__ == "__main__":
    store.add_to_hydra_store()
    zen(lambda model: None).hydra_main(config_name="train", config_path=None{version_base})
""",
    "transformers": """from transformers import GPT2Config
GPT2Config(n_head=8)
""",
}


def write_apps(folder: Path) -> dict[str, Path]:
    """The bare Hydra app with the same groups and schema, ours, and those of other tools that are installed."""
    shutil.copytree(CONF_DIR, folder / "conf")
    sections = _sections()
    words = {"sections": sections, "conf": str(folder / "conf"), "version_base": "", "new": HYDRA >= (1, 4)}
    if HYDRA < (1, 4):
        words["version_base"] = ', version_base="1.3"'
    sources = {"bare": BARE.format(**words), "ours": OURS}
    for name, source in OTHERS.items():
        if importlib.util.find_spec(name) is not None:
            sources[name] = source.format(**words)
    for name, source in sources.items():
        (folder / f"app_{name}.py").write_text(source)
    return {name: folder / f"app_{name}.py" for name in sources}


def _sections() -> str:
    """The schema as the plain dataclasses that a user would write."""
    blocks, root = [], ["@dataclass", "class Train:"]
    for field in fields_of(TrainConfig):
        nested = field.metadata.get("section")
        if nested is None:
            root.append(f"    {field.name}: {_type(field)} = {field.default!r}")
            continue
        lines = ["@dataclass", f"class {nested.__name__}:"]
        for each in fields_of(nested):
            if "computed" in each.metadata:
                lines.append(f'    {each.name}: Any = "${{gpt2.{each.name}:${{.n_embd}}}}"')
            else:
                lines.append(f"    {each.name}: {_type(each)} = {each.default!r}")
        blocks.append("\n".join(lines))
        root.append(f"    {field.name}: {nested.__name__} = field(default_factory={nested.__name__})")
    return "from typing import Any, Optional\n" + "\n\n".join([*blocks, "\n".join(root)])


def _type(field: object) -> str:
    rule = field.metadata["rule"]  # type: ignore[attr-defined]
    return f"Optional[{rule.kind.__name__}]" if rule.optional else str(rule.kind.__name__)


def process(command: list[str], folder: Path, **environment: str) -> Callable[[], float]:
    """A call that runs ``command`` once and returns its seconds.

    Bytecode is kept, as Python does unless told otherwise: what pip installed has it already, a checkout may
    not.
    """
    environment = {**os.environ, **environment}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run() -> float:
        start = time.perf_counter()
        subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return time.perf_counter() - start

    return run


def python(*arguments: object) -> list[str]:
    """A command line of this interpreter."""
    return [sys.executable, *map(str, arguments)]


def is_quick() -> bool:
    """``--quick``: everything once, to see that it still runs; the ratios mean little."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="everything once, to see that it still runs")
    return bool(parser.parse_args().quick)


def compare(title: str, ours: Callable[[], float], peer: Callable[[], float], limit: float | None, rounds: int = 15) -> None:
    """Print the medians and their ratio, runs interleaved after one warm-up each."""
    ours(), peer()
    pairs = [(ours(), peer()) for _ in range(rounds)]
    mine, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    target = "" if limit is None else f"   target ≤ {limit:g}"
    print(f"{title:<58} {mine * 1e3:9.1f} ms {theirs * 1e3:9.1f} ms   ratio {mine / theirs:6.3f}{target}", flush=True)
