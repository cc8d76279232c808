"""Folders that appear complete or not at all, and can be checked later. Standard library only.

A folder is written under a hidden name, next to its final place. Then a manifest with the size and SHA-256 of
every file is added, everything is flushed to the disk, and one rename gives the folder its name. A process
that is killed before that leaves a hidden folder, which :func:`recover_interrupted` completes or removes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.strict_json import read_json
from gpt2hydra.utils.files import fsync
from gpt2hydra.utils.formatting import error_reason

MANIFEST = "manifest.json"

MAX_MANIFEST_BYTES = 1_000_000
"""Bytes. The manifest of a checkpoint has about 1,500."""

UNFINISHED, REPLACED, RETIRED = "unfinished", "replaced", "retired"
"""Suffixes of hidden names: being written; being replaced by a new folder of the same name; being removed."""


# -------------------------------------------------------------------------------------------------------------- writing


@contextmanager
def write_directory(folder: Path) -> Iterator[Path]:
    """Context manager: a hidden folder, named ``folder`` when it is on the disk. An error leaves nothing."""
    with _replacing(folder) as unfinished:
        yield unfinished
        write_json(unfinished / MANIFEST, {"files": _make_manifest(unfinished)})


def rewrite_json(folder: Path, name: str, content: dict[str, Any]) -> None:
    """Replace one JSON file of a complete folder, which stays complete. The other files are linked."""
    listed = read_json(folder / MANIFEST, MAX_MANIFEST_BYTES)["files"]
    with _replacing(folder) as unfinished:
        for file in listed.keys() - {name}:
            (unfinished / file).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(folder / file, unfinished / file)
            except OSError:  # a file system without hard links
                shutil.copy2(folder / file, unfinished / file)
        write_json(unfinished / name, content)
        write_json(unfinished / MANIFEST, {"files": listed | {name: _manifest_entry(unfinished / name)}})


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Context manager: a hidden folder to fill, which then replaces ``folder``."""
    unfinished, replaced = _hidden(folder, UNFINISHED), _hidden(folder, REPLACED)
    recover_interrupted(folder.parent, folder.name)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        for path in (*unfinished.rglob("*"), unfinished):
            fsync(path)
        if folder.exists():
            folder.rename(replaced)
        unfinished.rename(folder)
        fsync(folder.parent)
        fsync(folder.parent.parent)  # the parent folder may be new too
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    finally:
        recover_interrupted(folder.parent, folder.name)


def remove_directory(folder: Path) -> None:
    """Remove a complete folder. It is renamed first, so that a part of it never has its name."""
    retired = _hidden(folder, RETIRED)
    shutil.rmtree(retired, ignore_errors=True)
    folder.rename(retired)
    shutil.rmtree(retired, ignore_errors=True)


def recover_interrupted(parent: Path, name: str = "*") -> None:
    """Clean ``parent`` after killed processes: complete or restore what is possible, remove the rest.

    Args:
        name: of the folders; a pattern.
    """
    for unfinished in sorted(parent.glob(f".{name}-{UNFINISHED}")):
        folder = _visible(unfinished, UNFINISHED)
        if find_damage(unfinished) is None and not folder.exists():
            unfinished.rename(folder)
        else:
            shutil.rmtree(unfinished, ignore_errors=True)
    for replaced in sorted(parent.glob(f".{name}-{REPLACED}")):
        folder = _visible(replaced, REPLACED)
        if folder.exists():
            shutil.rmtree(replaced, ignore_errors=True)
        else:
            replaced.rename(folder)
    for retired in parent.glob(f".{name}-{RETIRED}"):
        shutil.rmtree(retired, ignore_errors=True)


def _hidden(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}-{what}")


def _visible(hidden: Path, what: str) -> Path:
    return hidden.with_name(hidden.name[1 : -len(what) - 1])


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write indented JSON. NaN raises a ValueError."""
    file.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _make_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """The manifest's entry for each file below ``folder``, by its relative path: size and SHA-256."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file.relative_to(folder).as_posix(): _manifest_entry(file) for file in files if file != folder / MANIFEST}


def _manifest_entry(file: Path) -> dict[str, Any]:
    return {"bytes": file.stat().st_size, "sha256": _sha256(file)}


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


# -------------------------------------------------------------------------------------------------------------- reading


def is_complete(folder: Path) -> bool:
    """Whether every file of the manifest exists in its full size. Quick: no file is read."""
    return _find_damage(folder, contents=False) is None


def find_damage(folder: Path) -> str | None:
    """The first damage of a folder, as text; None if every byte is as it was written. Reads every file."""
    return _find_damage(folder, contents=True)


def _find_damage(folder: Path, contents: bool) -> str | None:
    if not (folder / MANIFEST).is_file():
        return f"has no {MANIFEST}"
    try:
        listed = read_json(folder / MANIFEST, MAX_MANIFEST_BYTES)["files"]
        files = {str(name): (int(about["bytes"]), str(about["sha256"])) for name, about in listed.items()}
    except (ConfigError, KeyError, TypeError, ValueError, AttributeError):
        return f"has a {MANIFEST} that cannot be read"
    for name, (size, digest) in files.items():
        file = folder / name
        try:
            if not file.is_file():
                return f"lacks {name}"
            if file.stat().st_size != size:
                return f"has {file.stat().st_size:,} bytes of {name}; {size:,} were written"
            if contents and _sha256(file) != digest:
                return f"has a {name} that is not what was written: its SHA-256 differs"
        except OSError as error:
            return f"has a {name} that cannot be read: {error_reason(error)}"
    return None
