"""``gpt2hydra export-hf``: convert a model size to a Hugging Face config."""

from __future__ import annotations

import argparse
import json

from gpt2hydra.checkpoint.huggingface import to_hf
from gpt2hydra.commands.common_options import ProgramOverrides, add_config_dir
from gpt2hydra.config.run import TrainConfig

DESCRIPTION = "Print the config.json of a model: gpt2hydra export-hf model=large > config.json"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for train.py: model=large model.n_head=10")
    add_config_dir(parser)
    parser.add_argument("--json", action="store_true", help="no effect: the output is always JSON")


def run(options: argparse.Namespace) -> None:
    """Print the model's config.json."""
    config: TrainConfig = ProgramOverrides.of(options.overrides, options.config_dir).compose()
    print(json.dumps(to_hf(config.model), indent=2))
