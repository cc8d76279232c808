"""The files of the defaults list, merged one by one: what each says that the schema cannot hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.default_element import ResultDefault
from omegaconf import DictConfig, OmegaConf, open_dict

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_compat import Repository, load_default
from gpt2hydra.composition.refusal.hydras_own import refused_keys
from gpt2hydra.composition.refusal.values import cannot_be, leaves_of, merged
from gpt2hydra.composition.sources import layers_of
from gpt2hydra.config.errors import Source, Violation
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.formatting import show


@dataclass
class Merged:
    """What the files make, but for what has ``violations``."""

    config: DictConfig
    root: type[Checked]
    violations: list[Violation]


def merge(composer: Composer, defaults: list[ResultDefault], repository: Repository) -> Merged:
    """Merge file by file; one that does not merge, key by key."""
    config, groups = OmegaConf.create({}), composer.options.groups()
    root, violations = None, list[Violation]()
    for default in defaults:
        loaded = load_default(composer.loader, default, repository)
        file = _File(default, repository)
        if "hydra" in loaded:
            own: Any = OmegaConf.to_container(loaded, resolve=False)
            violations += _hydras_own(own["hydra"], file)
            with open_dict(loaded):
                del loaded["hydra"]
        try:
            config.merge_with(loaded)
        except Exception:
            root = root or composer.class_of(config)
            raw: Any = OmegaConf.to_container(loaded, resolve=False)
            violations += _merge_by_key(config, raw, root, groups, file)
    OmegaConf.set_struct(config, True)
    return Merged(config, root or composer.class_of(config), violations)


@dataclass(frozen=True)
class _File:
    default: ResultDefault
    repository: Repository

    def source(self, *path: str) -> Source | None:
        """File and line of a key."""
        layer = next(iter(layers_of(self.repository, str(self.default.config_path))), None)
        for key in path:
            layer = layer.value.get(key, layer) if layer is not None and isinstance(layer.value, dict) else layer
        return layer.source if layer is not None else None


def _merge_by_key(
    config: DictConfig, raw: dict[Any, Any], root: type[Checked], groups: list[str], file: _File
) -> Iterator[Violation]:
    """Merge what can be of a file, and report what cannot."""
    dotted = [key for key in raw if isinstance(key, str) and "." in key]
    for key in dotted:
        head, _, rest = key.partition(".")
        rule = f"must be nested in YAML: {head}: {{{rest}: {show(raw[key])}}}"
        yield Violation(key, raw[key], rule, file.source(key), {key: raw[key]})
    for key, value in leaves_of({key: raw[key] for key in raw if key not in dotted}):
        if not merged(config, key, value):
            yield cannot_be(root, key, value, groups)


def _hydras_own(written: Any, file: _File) -> Iterator[Violation]:
    """What a file says under ``hydra:`` that Hydra does not know."""
    if not isinstance(written, Mapping):
        yield Violation("hydra", written, "is Hydra's own section; set its keys", file.source("hydra"))
        return
    for key, value, rule in refused_keys(leaves_of(written)):
        yield Violation(f"hydra.{key}", value, rule, file.source("hydra", *key.split(".")))
