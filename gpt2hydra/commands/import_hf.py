"""``gpt2hydra import-hf``: convert a Hugging Face config to a model size."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gpt2hydra.checkpoint.huggingface import from_hf
from gpt2hydra.config.errors import ConfigError, UsageError
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.sizing.counts import parameters
from gpt2hydra.utils.formatting import format_value

SIZE_KEYS = ("n_layer", "n_embd", "n_head")
"""Keys that every file of ``conf/model/`` has; it has others only if they differ from GPT-2 small."""


DESCRIPTION = "Print the shape of a Hugging Face GPT-2 as YAML: gpt2hydra import-hf DIR > conf/model/mine.yaml"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("path", metavar="DIR", help="a folder with a config.json, or the file itself")
    parser.add_argument("--json", action="store_true", help="print JSON, with every key of the shape")


def run(options: argparse.Namespace) -> None:
    """Print the shape.

    Raises:
        UsageError: the file cannot be read, or has a key or value that our GPT-2 does not support.
    """
    try:
        config = from_hf(options.path)
    except ConfigError as error:
        violations = [
            replace(each, remedy={}) for each in error.violations
        ]  # a remedy is an override, which cannot correct a file
        raise UsageError(violations, subject=options.path) from None
    print(json.dumps(config.to_dict(), indent=2) if options.json else "\n".join(yaml_lines(config, Path(options.path))))


def yaml_lines(config: GPT2Config, origin: Path) -> Iterator[str]:
    """Yield the lines of a file for ``conf/model/``: the size, and keys that differ from GPT-2 small."""
    yield f"# {parameters(config).total:,} parameters, from {format_value(str(origin), width=1000)}"
    values, small = config.to_dict(), GPT2Config().to_dict()
    del values["n_inner"]  # computed
    for name in (*SIZE_KEYS, *(name for name in values if name not in SIZE_KEYS and values[name] != small[name])):
        yield f"{name}: {_format_number(values[name])}"


def _format_number(value: float) -> str:
    """Format a number as ``1.0e-06``, because some readers of YAML take ``1e-06`` for text."""
    text = repr(value)
    return text.replace("e", ".0e") if "e" in text and "." not in text else text
