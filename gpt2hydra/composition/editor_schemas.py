"""Make JSON Schemas for editors, one for each primary config and each group of a conf tree."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from gpt2hydra.composition.conf_file import package_of
from gpt2hydra.composition.conf_tree import ConfTree, Primary
from gpt2hydra.config.json_schema import DIALECT, REFERENCE_PATTERN, Schema, schema_of_class
from gpt2hydra.config.validation import Checked

MODELINE = "# yaml-language-server: $schema="
"""Beginning of the line with which a YAML file names its schema for editors."""


def editor_schemas(tree: ConfTree) -> dict[str, Schema]:
    """Return a mapping: ``train`` → JSON Schema of ``train.yaml``, ``model`` → that of ``model/*.yaml``."""
    schemas = {}
    for primary in tree.primaries:
        if primary.root is not None:
            schemas[primary.name] = _file_schema([("", primary.root)], "", [primary])
    for group, primaries in tree.groups.items():
        places = dict.fromkeys(place for primary in primaries for place in _places(group, primary))
        if places:
            schemas[group] = _file_schema([*places], group, primaries)
    return schemas


def _places(group: str, primary: Primary) -> list[tuple[str, type[Checked]]]:
    """Return ``(package, class of the section)`` for each package of the files of a group."""
    packages = [key.partition("@")[2] for key in primary.groups if key.startswith(f"{group}@")]
    written = [package_of(file, group) for option in primary.options(group) if (file := primary.file(group, option))]
    found = [
        (package, primary.class_at(package)) for package in dict.fromkeys([*packages, *(written or [group.replace("/", ".")])])
    ]
    return [(package, config_class) for package, config_class in found if config_class is not None]


def _file_schema(places: Sequence[tuple[str, type[Checked]]], group: str, primaries: Sequence[Primary]) -> Schema:
    definitions: dict[str, Schema] = {}
    schemas: list[Schema] = []
    for at_root, config_class in dict.fromkeys((package == "", config_class) for package, config_class in places):
        complete = schema_of_class(config_class, definitions)
        own = {"defaults": {"$ref": "#/$defs/defaults"}}
        if at_root:
            own["hydra"] = {"type": "object", "description": "Hydra's own settings: run.dir, sweep.dir, job, ..."}
        schemas.append(
            {
                "description": complete["description"],
                "type": ["object", "null"],
                "properties": {**complete["properties"], **own},
                "additionalProperties": complete["additionalProperties"],
            }
        )
    title = f"{group}/*.yaml" if group else f"{primaries[0].name}.yaml"
    definitions |= _defaults(group, primaries)
    return {
        "$schema": DIALECT,
        "title": title,
        **(schemas[0] if len(schemas) == 1 else {"anyOf": schemas}),
        "$defs": definitions,
    }


def _defaults(group: str, primaries: Sequence[Primary]) -> dict[str, Schema]:
    """Return the definitions of a defaults list, and of the options of each group.

    Its entries are names of configs, and groups with an option: ``/model`` is relative to the root, ``model``
    to the folder ``group``.
    """
    options = {key.partition("@")[0]: primary.options(key) for primary in primaries for key in primary.groups}
    keys = {f"/{each}": each for each in options}
    keys |= {each[len(group) + 1 :] if group else each: each for each in options if not group or each.startswith(f"{group}/")}
    names = ["_self_", *(each for each in primaries[0].options(group) if each != "_dummy_empty_config_")]
    paths = [f"{key}/{option}" for key, each in keys.items() for option in options[each]]
    plain = "|".join(map(re.escape, [*names, *paths]))
    choices = {key: {"$ref": f"#/$defs/{_name(each)}"} for key, each in keys.items()}
    entry = {
        "type": ["object", "string"],
        "pattern": rf"^(optional .+|({plain}|/?hydra/.+)(@.+)?)$",
        "patternErrorMessage": "there is no such config",
        "defaultSnippets": [{"label": name, "body": name} for name in names],
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {f"override {key}" if group else key: each for key, each in choices.items() if group or key[0] != "/"},
        "patternProperties": {
            **{rf"^(override )?{re.escape(key)}(@.+)?$": each for key, each in choices.items()},
            r"^optional .+|^(override )?/?hydra/.+$": {},
        },
        "additionalProperties": False,
    }
    meaning = "configs that are merged in this order; later ones win; _self_ is this file"
    return {
        "defaults": {"type": "array", "description": meaning, "items": entry},
        **{_name(each): _option(known) for each, known in options.items()},
    }


def _name(group: str) -> str:
    return f"options-of-{group.replace('/', '-')}"


def _option(options: list[str]) -> Schema:
    """Return the schema of an option: a name, a list of names, null, or a reference."""
    several = {"type": "array", "items": {"enum": options}}
    return {"anyOf": [{"enum": [*options, None]}, several, {"type": "string", "pattern": REFERENCE_PATTERN}]}


# ------------------------------------------------------------------------------------------------------------- links


def add_modeline(file: Path, schema: Path) -> str:
    """Return the text of a YAML file with a line that names ``schema``; it replaces an older such line.

    It is after ``# @package``, because Hydra reads that only from the first lines of a file.
    """
    with file.open(encoding="utf-8", newline="") as stream:  # keep the line ends
        lines = [each for each in stream.read().splitlines(keepends=True) if not each.startswith(MODELINE)]
    end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    first = next((number for number, each in enumerate(lines) if each.strip() and not re.match(r"\s*#\s*@", each)), len(lines))
    path = Path(os.path.relpath(schema, file.parent)).as_posix()
    before = "".join(lines[:first])
    return before + end * (not before.endswith("\n") and before != "") + f"{MODELINE}{path}{end}" + "".join(lines[first:])
