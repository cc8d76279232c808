"""Set and restore Hydra's process-wide state; read and set the ``hydra`` node of a composed config."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

from hydra import version
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobRuntime
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from gpt2hydra.composition.hydra_compat import set_version_base, with_value

_LOCK = threading.RLock()  # Hydra's version base, job name and HydraConfig belong to the process

JOB_NAME = "gpt2hydra"
"""Name of Hydra's job while we compose, if no file sets it."""


_BEFORE: list[tuple[Any, str]] = []
"""The caller's version base and job name while we compose; empty otherwise."""


@contextmanager
def hydra_state() -> Iterator[None]:
    """Context manager: set Hydra's process-wide state to compose, then restore the caller's.

    It may be nested.
    """
    base, runtime, config = version.VersionBase.instance(), JobRuntime.instance(), HydraConfig.instance()
    with _LOCK:
        is_outermost, before = not _BEFORE, config.cfg
        if is_outermost:
            _BEFORE.append((base.version_base, runtime.get("name")))
            runtime.set("name", JOB_NAME)
            set_version_base()
        try:
            yield
        finally:
            config.cfg = before
            if is_outermost:
                base.version_base, name = _BEFORE.pop()
                runtime.set("name", name)


@lru_cache(maxsize=4096)
def parse(override: str) -> Override:
    """Return the (cached) result of Hydra's parser; it must not be changed."""
    key, _, value = override.partition("=")
    if _INTEGER.fullmatch(value) and _KEY.fullmatch(key):  # a sweep has thousands, and Hydra's parser is slow
        return with_value(_zero(key), int(value), override)
    return OverridesParser.create().parse_override(override)


_INTEGER, _KEY = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII), re.compile(r"[a-z_]\w*(\.[a-z_]\w*)+", re.ASCII)


@lru_cache(maxsize=64)
def _zero(key: str) -> Override:
    return OverridesParser.create().parse_override(f"{key}=0")


def task_overrides(hydra: Any) -> list[str]:
    """Return the overrides in a ``hydra`` node, as typed and unresolved, without those of Hydra's own config."""
    overrides: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    return list(overrides)


def hydra_overrides(hydra: Any) -> list[str]:
    """Return the overrides of Hydra's own config in a ``hydra`` node, as typed."""
    overrides: Any = OmegaConf.to_container(hydra.overrides.hydra, resolve=False)
    return list(overrides)


def set_job_fields(config: DictConfig, number: int) -> DictConfig:
    """Set the fields that Hydra's launchers set for job ``number`` of a sweep, in ``config`` and HydraConfig."""
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.job.num, config.hydra.job.id = number, f"job_id_for_{number}"
    HydraConfig.instance().set_config(config)
    set_output_directory(config, os.path.join(config.hydra.sweep.dir, config.hydra.sweep.subdir))
    return config


def set_run_fields(config: DictConfig) -> None:
    """Set the fields that Hydra sets for a run (``runtime.output_dir``), in ``config`` and HydraConfig."""
    HydraConfig.instance().set_config(config)
    with suppress(Exception):  # its references may be unresolvable
        set_output_directory(config, config.hydra.run.dir)


def set_output_directory(config: DictConfig, directory: str) -> None:
    """Set the output directory of the job of ``config``, in HydraConfig too."""
    with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
        config.hydra.runtime.output_dir = os.path.abspath(directory)
    HydraConfig.instance().set_config(config)  # HydraConfig has a copy


def start_folder() -> str:
    """Return the current folder; in a job that changed it (``hydra.job.chdir``), the one before that."""
    current = os.getcwd()
    if HydraConfig.initialized() and not OmegaConf.is_missing(HydraConfig.get().runtime, "output_dir"):
        runtime = HydraConfig.get().runtime
        return str(runtime.cwd) if os.path.realpath(current) == os.path.realpath(runtime.output_dir) else current
    return current
