"""``gpt2hydra export-hf``: a model size as a Hugging Face config."""

from __future__ import annotations

import argparse
import json

from gpt2hydra.checkpoint.huggingface import to_hf
from gpt2hydra.commands.common_options import ProgramConfig, add_config_dir
from gpt2hydra.config.run import TrainConfig

DESCRIPTION = "Print the config.json of a model: gpt2hydra export-hf model=large > config.json"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for train.py: model=large model.n_head=10")
    add_config_dir(parser)
    parser.add_argument("--json", action="store_true", help="accepted for symmetry; the output is JSON anyway")


def run(options: argparse.Namespace) -> None:
    """Print the model's config.json."""
    config: TrainConfig = ProgramConfig.of(options.overrides, options.config_dir).checked()
    print(json.dumps(to_hf(config.model), indent=2))
