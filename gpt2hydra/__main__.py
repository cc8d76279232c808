"""The commands: ``gpt2hydra size``, ``gpt2hydra explain``, and what ``train.py`` and ``generate.py`` run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from gpt2hydra.cli import main as app
from gpt2hydra.cli.exit import program
from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.schema import ROOTS
from gpt2hydra.composition.yaml_traps import as_typed
from gpt2hydra.config.fields import ABSENT, ConfigError
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import GenerateConfig, TrainConfig
from gpt2hydra.version import __version__


@app.main(config_name="train", extra="train")
def train(config: TrainConfig) -> float:
    """Train, and return the validation loss, which is what a Hydra sweeper minimises."""
    from gpt2hydra.training.run import train

    return train(config).validation_loss


@app.main(config_name="generate", extra="train")
def generate(config: GenerateConfig) -> None:
    """Print the samples."""
    from gpt2hydra.inference.generate import generate

    generate(config)


def main(arguments: Sequence[str] | None = None) -> None:
    """The ``gpt2hydra`` command. Exits with 1 where a configuration is refused, with 2 on wrong usage."""
    options = _parser().parse_args(arguments)
    with program():
        options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("gpt2hydra", description="Look at GPT-2 configurations without starting anything.")
    parser.add_argument("--version", action="version", version=f"gpt2hydra {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    size = commands.add_parser(
        "size", help="what a configuration costs", description="Print parameters, memory, FLOPs and time."
    )
    size.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for train.py: model=xl hardware=a100_40gb")
    form = size.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print numbers for a program")
    form.add_argument("--plot", metavar="FILE.png", help="draw the memory of every size in conf/model/ into this file")
    size.add_argument("--config-dir", metavar="DIR", help="one more folder of YAML files, as for train.py")
    size.set_defaults(run=_size)

    explain = commands.add_parser("explain", help="who set each value", description="Print every value and who set it.")
    explain.add_argument("words", nargs="*", metavar="WORD", help="train or generate, OVERRIDES, and a KEY to look at alone")
    explain.add_argument("--config-dir", metavar="DIR", help="one more folder of YAML files, as for train.py")
    explain.set_defaults(run=_explain)
    return parser


def _size(options: argparse.Namespace) -> None:
    from gpt2hydra.sizing.plan import Plan

    if options.plot is not None:
        from gpt2hydra.sizing.plot import plot_sizes

        print(f"wrote {plot_sizes(options.overrides, options.plot)}")
        return
    composer = Composer("train", CONF_DIR, options.config_dir, frozen=True)
    overrides = as_typed(options.overrides, TrainConfig)
    plan = Plan.of(app.checked(composer, overrides), _changes(composer, overrides))
    print(json.dumps(plan.to_dict(), indent=2) if options.json else plan)


def _changes(composer: Composer, overrides: list[str]) -> list[tuple[str, str, str]]:
    from gpt2hydra.composition.origins import changes

    return changes(composer, overrides, app.checked(composer, overrides))


def _explain(options: argparse.Namespace) -> None:
    from gpt2hydra.cli.explain import explained

    name = options.words.pop(0) if options.words[:1] in (["train"], ["generate"]) else "train"
    keys = [word for word in options.words if "=" not in word and not word.startswith("~")]
    overrides = as_typed([word for word in options.words if word not in keys], ROOTS[f"{name}_schema"])
    composer = Composer(name, CONF_DIR, options.config_dir, frozen=True)
    print("\n".join(explained(composer, overrides, keys)))
    try:
        app.checked(composer, overrides)
    except ConfigError as error:  # a value that is to be given yet is no mistake here
        given = [violation for violation in error.violations if violation.value is not ABSENT]
        if given:
            sys.stdout.flush()
            raise ConfigError(given) from None


if __name__ == "__main__":
    main()
