"""The ``hydra:`` section of a file, which counts also where Hydra's own node is left out of a composition."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from hydra.conf import HydraConf
from omegaconf import DictConfig, OmegaConf

_FITTING: dict[str, bool] = {}
"""A section as text → whether it fits; a sweep asks of the same ones for each choice of options."""


def hydra_takes(section: Any) -> bool:
    """Whether a section is right without a look at plugins. Where not, Hydra itself decides, and says what is wrong."""
    if not isinstance(section, Mapping) or {"launcher", "sweeper"} & section.keys():
        return False
    key = repr(section)
    if key not in _FITTING:
        try:
            OmegaConf.merge(hydras_schema(), section)
            _FITTING[key] = True
        except Exception:
            _FITTING[key] = False
    return _FITTING[key]


@functools.cache
def hydras_schema() -> DictConfig:
    """What the section is merged into, to be copied before it is changed: Hydra's classes, and what its files say of logs."""
    mappings: dict[str, Any] = {"formatters": {}, "handlers": {}, "loggers": {}, "root": {}}
    schema: DictConfig = OmegaConf.structured(HydraConf)
    schema.job_logging = schema.hydra_logging = mappings
    return schema
