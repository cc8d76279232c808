"""The Hydra job that runs here: which configuration it was started with, and who set each value of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from hydra.core.hydra_config import HydraConfig

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.fold import Provenance
from gpt2hydra.composition.hydra_loader import search_path_from
from gpt2hydra.composition.hydra_state import task_overrides
from gpt2hydra.config.validation import Checked

JOB: ContextVar[tuple[Checked | None, Provenance | None]] = ContextVar("gpt2hydra_job", default=(None, None))
"""The config of the Hydra job that runs here, and who set its values, if that is known already."""


@contextmanager
def job(config: Checked, provenance: Provenance | None = None) -> Iterator[Checked]:
    """Within, ``config`` is known to be what Hydra composed for the running job."""
    token = JOB.set((config, provenance))
    try:
        yield config
    finally:
        JOB.reset(token)


def composer_of_job() -> Composer:
    """The composer of the Hydra job that runs here, by what Hydra knows of it, in any launcher's process."""
    hydra = HydraConfig.get()
    sources = ((each.provider, each.schema, each.path) for each in hydra.runtime.config_sources)
    absolute = (
        (provider, f"{schema}://{os.path.join(hydra.runtime.cwd, path) if schema == 'file' else path}")
        for provider, schema, path in sources
    )
    return Composer(str(hydra.job.config_name), search_path_from(absolute), once=True)


def provenance_of_job() -> Provenance:
    """Who set each value of the Hydra job that runs here."""
    return composer_of_job().fold(task_overrides(HydraConfig.get())).provenance


def set_by(config: Checked) -> dict[str, Any] | None:
    """Key → settings of the running job's config, the one in force first; None for any other config.

    In a process of a launcher's it is composed again, by what Hydra knows of the job.
    """
    running, provenance = JOB.get()
    if running is not config or not HydraConfig.initialized():
        return None
    provenance = provenance or provenance_of_job()
    return {key: [each.to_dict() for each in reversed(chain)] for key, chain in provenance.settings.items()}
