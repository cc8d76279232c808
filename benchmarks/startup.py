"""From command line to config, whole processes, ours against bare Hydra (and others that are installed).

Run: ``python -m benchmarks.startup``, about two minutes; ``--quick`` only sees that it still runs.
"""

from __future__ import annotations

import functools
import platform
import tempfile
from pathlib import Path

from benchmarks import peers
from benchmarks.peers import is_quick, process, python, write_apps

REFUSED = ["model=large", "model.n_head=7", "model.resid_pdrop=1.5", "model.n_layer=abc", "model.n_hed=3"]


def main() -> None:
    compare = functools.partial(peers.compare, rounds=1 if is_quick() else 15)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        apps = write_apps(folder)
        print(f"Python {platform.python_version()}, {platform.system()}; medians of interleaved pairs\n")
        print(f"{'':<58} {'ours':>12} {'peer':>12}")
        bare = process(python(apps["bare"], "model=large", "hydra.run.dir=bare"), folder)
        ours = process(python(apps["ours"], "model=large", "hydra.run.dir=ours"), folder)
        preset = process(python("-c", "from gpt2hydra import GPT2Config; GPT2Config.gpt2_large()"), folder)
        compare(
            "a preset from Python / import dataclasses, yaml",
            preset,
            process(python("-c", "import dataclasses, yaml"), folder),
            1.5,
        )
        compare("a valid run, up to the function / bare Hydra", ours, bare, 1.0)
        compare("a refusal with its report / a bare Hydra run", process(python(apps["ours"], *REFUSED), folder), bare, 1.2)
        broken_rule = process(python(apps["ours"], "model=large", "model.n_head=7"), folder)
        compare("a refusal by one rule / a bare Hydra run", broken_rule, bare, 1.2)
        query = {"COMP_LINE": "python app.py model=", "COMP_POINT": "20"}
        completion = [process(python(apps[app], "-sc", "query=bash"), folder, **query) for app in ("ours", "bare")]
        compare("shell completion / bare Hydra", completion[0], completion[1], 1.1)
        for other in sorted(set(apps) - {"ours", "bare"}):
            compare(f"a valid run / {other}", ours, process(python(apps[other]), folder), None)


if __name__ == "__main__":
    main()
