"""A composed choice of options, over which plain values are set and taken back: what makes composing again quick."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

# A resolver whose value may differ from one composition to the next; ours and OmegaConf's own do not.
_UNSTABLE = re.compile(r"\$\{(?!gpt2\.|oc\.)[^${}:.]+:")


@dataclass(frozen=True)
class Composed:
    """What Hydra composed of some options, without its own node, and the YAML files that took part."""

    config: DictConfig
    raw: dict[str, Any]
    files: frozenset[str]
    unstable: bool

    @classmethod
    def of(cls, config: DictConfig, files: frozenset[str]) -> Composed:
        """Look at a composed config once."""
        raw: Any = OmegaConf.to_container(config, resolve=False)
        return cls(config, raw, files, bool(_UNSTABLE.search(repr(raw))))

    @contextmanager
    def overridden(self, values: list[Override]) -> Iterator[DictConfig | None]:
        """The config with ``values`` applied, or None where one of them is not a plain change of a plain value."""
        undo: list[tuple[str, Any]] = []
        try:
            yield self.config if self._apply(values, undo) else None
        finally:
            for key, value in reversed(undo):
                OmegaConf.update(self.config, key, value)

    def _apply(self, values: list[Override], undo: list[tuple[str, Any]]) -> bool:
        for override in values:
            key, value = override.key_or_group, override.value()
            before = _lookup(self.raw, key)
            if isinstance(before, (dict, list)) or (isinstance(value, str) and _UNSTABLE.search(value)):
                return False
            try:
                undo.append((key, before))
                OmegaConf.update(self.config, key, value)
            except Exception:  # Hydra will say what is wrong with it
                undo.pop()
                return False
        return True


def _lookup(raw: dict[str, Any], key: str) -> Any:
    """The raw value under a dotted key; a dict where there is none, which is no plain value either."""
    value: Any = raw
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return {}
        value = value[part]
    return value
