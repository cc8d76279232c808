"""What a composition depends on besides its overrides: YAML files, stored nodes, the environment."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from typing import Any

from hydra.core.config_store import ConfigStore


def surroundings(folders: Iterable[str]) -> tuple[Any, ...]:
    """Equal as long as no YAML file below ``folders``, no node of the ConfigStore and no environment variable changed."""
    return tuple(yaml_files(folders)), tuple(_stored(ConfigStore.instance().repo)), hash(frozenset(os.environ.items()))


def yaml_files(folders: Iterable[str]) -> Iterator[tuple[str, int, int]]:
    """``(path, modification time, size)`` of every YAML file below ``folders``, behind links too; locks of editors are none."""
    seen = set()
    for each in folders:
        for folder, below, names in os.walk(each, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:  # a link to a folder above
                below.clear()
                continue
            seen.add(real)
            for name in sorted(names):
                path = os.path.join(folder, name)
                try:
                    status = os.stat(path) if name.endswith(".yaml") else None
                except OSError:  # a link to nothing, as editors leave them
                    continue
                if status is not None and stat.S_ISREG(status.st_mode):
                    yield path, status.st_mtime_ns, status.st_size


def _stored(repo: dict[str, Any]) -> Iterator[Any]:
    for value in repo.values():
        if isinstance(value, dict):
            yield from _stored(value)
        else:
            yield value.node
