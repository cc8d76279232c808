"""The running Hydra job: its configuration, and the source of each value."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from hydra.core.hydra_config import HydraConfig

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.fold import Provenance
from gpt2hydra.composition.hydra_loader import join_search_path
from gpt2hydra.composition.hydra_state import task_overrides
from gpt2hydra.config.validation import Checked

JOB: ContextVar[tuple[Checked | None, Provenance | None]] = ContextVar("gpt2hydra_job", default=(None, None))
"""The config of the running job, and its provenance if that is known already."""


@contextmanager
def job(config: Checked, provenance: Provenance | None = None) -> Iterator[Checked]:
    """Context manager: ``config`` is the config that Hydra composed for the running job."""
    token = JOB.set((config, provenance))
    try:
        yield config
    finally:
        JOB.reset(token)


def composer_of_job() -> Composer:
    """Return the composer of the running Hydra job, from HydraConfig, in any process of a launcher."""
    hydra = HydraConfig.get()
    sources = ((each.provider, each.schema, each.path) for each in hydra.runtime.config_sources)
    absolute = (
        (provider, f"{schema}://{os.path.join(hydra.runtime.cwd, path) if schema == 'file' else path}")
        for provider, schema, path in sources
    )
    return Composer(str(hydra.job.config_name), join_search_path(absolute), once=True)


def provenance_of_job() -> Provenance:
    """Compose the running Hydra job again; return the source of each value."""
    return composer_of_job().fold(task_overrides(HydraConfig.get())).provenance


def set_by(config: Checked) -> dict[str, Any] | None:
    """Return key → settings, the one in force first, of the running job's config; None for another config.

    In a process of a launcher, the job is composed again.
    """
    running, provenance = JOB.get()
    if running is not config or not HydraConfig.initialized():
        return None
    provenance = provenance or provenance_of_job()
    return {key: [each.to_dict() for each in reversed(history)] for key, history in provenance.settings.items()}
