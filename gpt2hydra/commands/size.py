"""``gpt2hydra size``: what a configuration costs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from gpt2hydra.commands.common_options import ProgramConfig, add_config_dir
from gpt2hydra.config.errors import ConfigError, Violation, command_line
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.data.corpus import training_tokens
from gpt2hydra.launch.extras import checked_file, require_extra_of
from gpt2hydra.sizing.counts import parameters
from gpt2hydra.sizing.describe import describe
from gpt2hydra.sizing.plan import Plan

SUMMARY = "what a configuration costs"
DESCRIPTION = "Print parameters, memory, FLOPs and time."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for train.py: model=xl hardware=a100_40gb")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print numbers for a program")
    form.add_argument("--plot", metavar="FILE.png", help="draw the memory of every size in conf/model/ into this file")
    add_config_dir(parser)


def run(options: argparse.Namespace) -> None:
    """Print the plan, or draw those of all sizes."""
    if options.plot is not None:
        print(f"wrote {plot(options.overrides, options.plot, options.config_dir)}")
        return
    chosen = ProgramConfig.of_train(options.overrides, options.config_dir)
    config: TrainConfig = chosen.checked()
    plan = Plan(config, training_tokens(config), chosen.trace().changes(config))
    print(json.dumps(plan.to_dict(), indent=2) if options.json else describe(plan))


def plot(overrides: Sequence[str], path: str, config_dir: str | None = None) -> Path:
    """Draw the plan of every size in ``conf/model/``.

    Args:
        overrides: of everything but the model, as on the command line: ``hardware=a100_40gb training.precision=bf16``.
        config_dir: one more folder of YAML files.

    Raises:
        ConfigError: the overrides or the file are refused, or matplotlib is not installed.
    """
    file = checked_file(path)
    chosen = next((text for text in overrides if text.startswith("model=")), None)
    if chosen is not None:
        rule = "is drawn beside all others: leave it out"
        raise ConfigError([Violation("model", chosen.partition("=")[2], rule, command_line(chosen))])
    sizes = ProgramConfig.of_train([], config_dir).options("model")
    configs = {name: ProgramConfig.of_train([*overrides, f"model={name}"], config_dir).checked() for name in sizes}
    plans = {name: Plan(config) for name, config in configs.items()}
    plans = dict(sorted(plans.items(), key=lambda item: parameters(item[1].config.model).total))
    require_extra_of("--plot", path, "plot")
    from gpt2hydra.sizing.plot import plot_sizes

    plot_sizes(plans, file)
    return file
