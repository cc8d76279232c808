"""``gpt2hydra schema``: write JSON Schemas of the YAML files, for editors."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from gpt2hydra.commands.common_options import add_apps, add_config_dir, conf_tree
from gpt2hydra.composition.conf_tree import ConfTree
from gpt2hydra.composition.editor_schemas import add_modeline, editor_schemas
from gpt2hydra.config.errors import UsageError, Violation
from gpt2hydra.config.json_schema import Schema
from gpt2hydra.utils.files import atomic_file
from gpt2hydra.utils.formatting import error_reason
from gpt2hydra.utils.paths import relative_path

DESCRIPTION = "Write a JSON Schema (2020-12) for each kind of YAML file: DIR/train.json, model.json, ..."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--output", metavar="DIR", default="schema", help="the folder for the schemas (default: schema)")
    parser.add_argument("--link", action="store_true", help="also add to each YAML file a line that names its schema")
    add_apps(parser)
    add_config_dir(parser)
    parser.add_argument("--json", action="store_true", help="print all schemas as one JSON object; write no files")


def run(options: argparse.Namespace) -> None:
    """Print or write the schemas."""
    tree = conf_tree(options)
    schemas = editor_schemas(tree)
    if options.json:
        print(json.dumps(schemas, indent=2))
        return
    folder = Path(options.output)
    files = _match_schemas(tree, Path(options.config_dir or tree.folder), schemas) if options.link else {}
    links = dict(_links(files, folder))
    for name, schema in schemas.items():
        _write(folder / f"{name}.json", json.dumps(schema, indent=2, ensure_ascii=False) + "\n", "--output")
    print(f"wrote {', '.join(f'{name}.json' for name in sorted(schemas))} in {relative_path(folder)}")
    for file, text in links.items():
        _write(file, text, "--link")
        print(f"linked {relative_path(file)}")
    without = [relative_path(file) for file, name in files.items() if name is None]
    if without:
        remedy = "" if options.app else "; for the files of your own program, add --app MODULE:FUNCTION"
        print(f"no schema fits {', '.join(without)}{remedy}")
    if options.link and not links and len(without) < len(files):
        print("every other file is linked already" if without else "every file is linked already")


def _match_schemas(tree: ConfTree, folder: Path, schemas: Mapping[str, Schema]) -> Mapping[Path, str | None]:
    """Return YAML file → name of its schema, for each file in a folder; None if no schema fits."""
    found: dict[Path, str | None] = {}
    for file in tree.files(folder):
        within = file.relative_to(folder).with_suffix("")
        name = str(within) if len(within.parts) == 1 else within.parent.as_posix()
        if file.suffix == ".yaml":
            found[file] = name if name in schemas else None
    return found


def _links(files: Mapping[Path, str | None], output: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file that does not name its schema yet, and its text with the line that does.

    Raises:
        UsageError: a file cannot be read.
    """
    for file, name in files.items():
        if name is None:
            continue
        try:
            text = add_modeline(file, output / f"{name}.json")
            if text.encode() != file.read_bytes():
                yield file, text
        except (OSError, UnicodeDecodeError) as error:
            reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error_reason(error)
            raise UsageError([Violation(relative_path(file), rule=f"cannot be linked: {reason}")]) from None


def _write(file: Path, text: str, option: str) -> None:
    """Write a file atomically; a file that it replaces keeps its permissions.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file.resolve()) as unfinished:
            unfinished.write_text(text, encoding="utf-8", newline="")
            if file.exists():
                unfinished.chmod(file.stat().st_mode)
    except OSError as error:
        raise UsageError([Violation(option, str(file), f"cannot be written: {error_reason(error)}")]) from None
