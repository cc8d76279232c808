"""Hydra's process-wide state, and what the ``hydra`` node of a composed config tells."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
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
"""Of Hydra's job while we compose, where no file names it."""


_IS_SET = ContextVar("gpt2hydra_hydra_state", default=False)


@contextmanager
def hydra_state() -> Iterator[None]:
    """Set Hydra's process-wide state for compositions and give the caller's back, whatever happens. They may be nested."""
    config = HydraConfig.instance()
    with _LOCK, nullcontext() if _IS_SET.get() else _base_and_name():
        before = config.cfg
        try:
            yield
        finally:
            config.cfg = before


@contextmanager
def _base_and_name() -> Iterator[None]:
    base, runtime, token = version.VersionBase.instance(), JobRuntime.instance(), _IS_SET.set(True)
    before, name = base.version_base, runtime.get("name")
    runtime.set("name", JOB_NAME)
    set_version_base()
    try:
        yield
    finally:
        base.version_base = before
        runtime.set("name", name)
        _IS_SET.reset(token)


@lru_cache(maxsize=4096)
def parse(override: str) -> Override:
    """Hydra's own parser, remembering what it parsed; the result must not be changed."""
    key, _, value = override.partition("=")
    if _INTEGER.fullmatch(value) and _KEY.fullmatch(key):  # a sweep has thousands, and the parser is slow
        return with_value(_zero(key), int(value), override)
    return OverridesParser.create().parse_override(override)


_INTEGER, _KEY = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII), re.compile(r"[a-z_]\w*(\.[a-z_]\w*)+", re.ASCII)


@lru_cache(maxsize=64)
def _zero(key: str) -> Override:
    return OverridesParser.create().parse_override(f"{key}=0")


def task_overrides(hydra: Any) -> list[str]:
    """The overrides in a ``hydra`` node as they were typed, but for those of Hydra's own; ``${...}`` stays what it is."""
    overrides: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    return list(overrides)


def hydra_overrides(hydra: Any) -> list[str]:
    """The overrides of Hydra's own config in a ``hydra`` node, as they were typed."""
    overrides: Any = OmegaConf.to_container(hydra.overrides.hydra, resolve=False)
    return list(overrides)


def as_job(config: DictConfig, number: int) -> DictConfig:
    """``config``, composed for a sweep, with what Hydra's launchers add for job ``number``."""
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.job.num, config.hydra.job.id = number, f"job_id_for_{number}"
    HydraConfig.instance().set_config(config)
    with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
        config.hydra.runtime.output_dir = os.path.abspath(os.path.join(config.hydra.sweep.dir, config.hydra.sweep.subdir))
    return config


def as_run(config: DictConfig) -> DictConfig:
    """``config`` with what Hydra adds for a run, so that ``${hydra:runtime.output_dir}`` is what it will be."""
    HydraConfig.instance().set_config(config)
    with suppress(Exception), read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
        config.hydra.runtime.output_dir = os.path.abspath(config.hydra.run.dir)  # what it refers to may not be there
    HydraConfig.instance().set_config(config)  # which holds a copy
    return config


def start_folder() -> str:
    """Where the program was started, while a job runs in its own directory (``hydra.job.chdir``); else where we are."""
    here = os.getcwd()
    if HydraConfig.initialized() and not OmegaConf.is_missing(HydraConfig.get().runtime, "output_dir"):
        runtime = HydraConfig.get().runtime
        return str(runtime.cwd) if os.path.realpath(here) == os.path.realpath(runtime.output_dir) else here
    return here
