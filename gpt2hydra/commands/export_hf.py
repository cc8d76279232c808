"""``gpt2hydra export-hf``: the ``config.json`` from which Hugging Face's libraries build a model of our shape."""

from __future__ import annotations

import argparse
import json

from gpt2hydra.checkpoint.huggingface import to_hf
from gpt2hydra.commands.common_options import add_config_dir
from gpt2hydra.composition.compose import compose_and_check
from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.yaml_traps import as_typed
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import TrainConfig


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of ``gpt2hydra``."""
    parser = commands.add_parser(
        "export-hf",
        help="a model size as a Hugging Face config",
        description="Print the config.json of a model: gpt2hydra export-hf model=large > config.json",
    )
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for train.py: model=large model.n_head=10")
    add_config_dir(parser)
    parser.add_argument("--json", action="store_true", help="as without it: what is printed is JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the model's config.json."""
    composer = Composer("train", CONF_DIR, options.config_dir, once=True)
    config: TrainConfig = compose_and_check(composer, as_typed(options.overrides, TrainConfig))
    print(json.dumps(to_hf(config.model), indent=2))
