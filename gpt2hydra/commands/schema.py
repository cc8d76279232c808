"""``gpt2hydra schema``: what an editor needs to complete, explain and underline the YAML files of a conf tree."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from gpt2hydra.commands.common_options import add_app, add_config_dir, conf_tree
from gpt2hydra.composition.conf_tree import ConfTree
from gpt2hydra.composition.editor_schemas import editor_schemas, linked
from gpt2hydra.composition.sources import displayed
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.json_schema import Schema
from gpt2hydra.utils.formatting import reason_of

SUMMARY = "JSON Schemas of the YAML files, for editors"
DESCRIPTION = "Write a JSON Schema (2020-12) for each kind of YAML file: DIR/train.json, model.json, ..."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--output", metavar="DIR", default="schema", help="the folder to write them into (default: schema)")
    parser.add_argument("--link", action="store_true", help="also write a line that names it into each YAML file")
    add_app(parser)
    add_config_dir(parser)
    parser.add_argument("--json", action="store_true", help="print all of them as one JSON object, and write nothing")


def run(options: argparse.Namespace) -> None:
    """Print or write the schemas."""
    tree = conf_tree(options)
    schemas = editor_schemas(tree)
    if options.json:
        print(json.dumps(schemas, indent=2))
        return
    folder = Path(options.output)
    links = dict(_links(tree, Path(options.config_dir or tree.folder), schemas, folder)) if options.link else {}
    for name, schema in schemas.items():
        _write(folder / f"{name}.json", json.dumps(schema, indent=2, ensure_ascii=False) + "\n", "--output")
    print(f"wrote {', '.join(f'{name}.json' for name in sorted(schemas))} in {displayed(str(folder))}")
    for file, text in links.items():
        _write(file, text, "--link")
        print(f"linked {displayed(str(file))}")
    if options.link and not links:
        print("every file is linked already")


def _links(tree: ConfTree, folder: Path, schemas: Mapping[str, Schema], output: Path) -> Iterator[tuple[Path, str]]:
    """Each YAML file that does not name its schema yet, with the text that does.

    Raises:
        ConfigError: one of them cannot be read; nothing was written.
    """
    for file in tree.files(folder):
        within = file.relative_to(folder).with_suffix("")
        name = str(within) if len(within.parts) == 1 else within.parent.as_posix()
        if name not in schemas or file.suffix != ".yaml":
            continue
        try:
            text = linked(file, output / f"{name}.json")
            if text.encode() != file.read_bytes():
                yield file, text
        except (OSError, UnicodeDecodeError) as error:
            reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else reason_of(error)
            raise ConfigError([Violation(displayed(str(file)), rule=f"cannot be linked: {reason}")]) from None


def _write(file: Path, text: str, option: str) -> None:
    """Write a file whole or not at all, with the permissions that it had."""
    unfinished = file.with_name(f".{file.name}-unfinished")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text, encoding="utf-8", newline="")
        if file.exists():
            unfinished.chmod(file.stat().st_mode)
        os.replace(unfinished, file.resolve())
    except OSError as error:
        raise ConfigError([Violation(option, str(file), f"cannot be written: {reason_of(error)}")]) from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()
