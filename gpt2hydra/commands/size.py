"""``gpt2hydra size``: print parameters, memory, FLOPs and time of a configuration."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gpt2hydra.commands.common_options import ProgramOverrides, add_app, add_config_dir, check_output_file, load_application
from gpt2hydra.config.errors import ConfigError, UsageError, Violation
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.keys import attribute_of, fields_of, section_classes
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.data.corpus import count_training_tokens
from gpt2hydra.sizing.counts import checkpoint_bytes, flops_per_token, kv_cache_bytes, parameters
from gpt2hydra.sizing.describe import describe
from gpt2hydra.sizing.plan import Plan
from gpt2hydra.sizing.plot import plot_schedule, plot_sizes
from gpt2hydra.utils.formatting import abbreviate_number, format_bytes

DESCRIPTION = "Print parameters, memory, FLOPs and time of a configuration."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for train.py: model=xl hardware=a100_40gb")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument(
        "--plot",
        metavar="FILE.png",
        help="plot the memory of every size in conf/model/, or of model=SIZE only, to this file",
    )
    form.add_argument("--plot-schedule", metavar="FILE.png", help="plot the learning rate over the steps to this file")
    add_config_dir(parser)
    add_app(parser)


def run(options: argparse.Namespace) -> None:
    """Print the plan, or draw it."""
    if options.app is not None and options.plot is not None:
        raise UsageError([Violation("--plot", options.plot, "draws the sizes of train.py; it does not go with --app")])
    if options.plot is not None:
        print(f"wrote {plot(options.overrides, options.plot, options.config_dir)}")
        return
    program = load_application(options.app) if options.app else None
    chosen = ProgramOverrides.of(options.overrides, options.config_dir, program)
    config = chosen.compose()
    if not isinstance(config, TrainConfig):
        if options.plot_schedule is not None:
            raise UsageError([Violation("--plot-schedule", options.plot_schedule, f"{options.app} has no schedule")])
        models = dict(_model_costs(config))
        print(json.dumps(models, indent=2) if options.json else _format_models(models, options.app))
        return
    if options.plot_schedule is not None:
        print(f"wrote {draw_schedule(config, options.plot_schedule)}")
        return
    plan = Plan(config, count_training_tokens(config), chosen.provenance.changes(config))
    print(json.dumps(plan.to_dict(), indent=2) if options.json else describe(plan))


def _model_costs(config: Any, prefix: str = "") -> Iterator[tuple[str, dict[str, int]]]:
    """Yield key → costs of each GPT-2 in a configuration without training settings."""
    for field in fields_of(type(config)):
        value = getattr(config, attribute_of(field))
        key = f"{prefix}{field.name}"
        if isinstance(value, GPT2Config):
            yield (
                key,
                {
                    "parameters": parameters(value).total,
                    "training_flops_per_token": flops_per_token(value, value.n_positions),
                    "kv_cache_bytes": kv_cache_bytes(value, 1, value.n_positions),
                    "checkpoint_bytes": checkpoint_bytes(value),
                },
            )
        elif section_classes(field) and value is not None:
            yield from _model_costs(value, f"{key}.")


def _format_models(models: Mapping[str, Mapping[str, int]], app: str) -> str:
    """Return a paragraph for each model.

    Raises:
        ConfigError: there is no model.
    """
    if not models:
        raise ConfigError(
            [Violation("--app", app, "has no section whose class derives from GPT2Config, so there is no size to print")]
        )
    return "\n".join(
        f"{key}\n"
        f"  {'parameters':<22}{abbreviate_number(each['parameters'])}\n"
        f"  {'FLOPs of training':<22}{abbreviate_number(each['training_flops_per_token'])} a token\n"
        f"  {'key-value cache':<22}{format_bytes(each['kv_cache_bytes'])} a sequence in bfloat16\n"
        f"  {'checkpoint':<22}{format_bytes(each['checkpoint_bytes'])} in float32"
        for key, each in models.items()
    )


def plot(overrides: Sequence[str], path: str, config_dir: str | None = None) -> Path:
    """Draw the memory of every size in ``conf/model/``, or of the one that ``model=`` chooses.

    Args:
        overrides: as on the command line: ``hardware=a100_40gb training.precision=bf16``.
        config_dir: one more folder of YAML files.

    Raises:
        ConfigError: the overrides or the file are invalid, or matplotlib is not installed.
    """
    file = check_output_file("--plot", path, "plot")
    plot_sizes(dict(_plans(overrides, config_dir)), file)
    return file


def draw_schedule(config: TrainConfig, path: str) -> Path:
    """Draw the learning rate over the steps.

    Raises:
        ConfigError: the file is invalid, or matplotlib is not installed.
    """
    file = check_output_file("--plot-schedule", path, "plot")
    plot_schedule(config.training, file)
    return file


def _plans(overrides: Sequence[str], config_dir: str | None) -> Iterator[tuple[str, Plan]]:
    """Yield a label and the plan of each size, the smallest first; equal sizes are drawn once."""
    chosen = [text for text in overrides if text.startswith("model=")]
    names = [None] if chosen else ProgramOverrides.of([], config_dir).options("model")
    config_by_shape: dict[GPT2Config, tuple[str | None, TrainConfig]] = {}
    for name in names:
        size = chosen or [f"model={name}"]
        config: TrainConfig = ProgramOverrides.of([*overrides, *size], config_dir).compose()
        size_config: TrainConfig = ProgramOverrides.of(size, config_dir).compose()
        has_size_name = config.model == size_config.model and config.model not in config_by_shape
        config_by_shape[config.model] = (name or chosen[-1].partition("=")[2]) if has_size_name else None, config
    for shape in sorted(config_by_shape, key=lambda shape: parameters(shape).total):
        name, config = config_by_shape[shape]
        yield name or f"{shape.n_layer} x {shape.n_embd}", Plan(config)
