"""The Hydra job that runs here: which configuration it was started with, and who set each value of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from hydra.core.hydra_config import HydraConfig

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_state import task_overrides
from gpt2hydra.config.validation import Checked

JOB: ContextVar[Checked | None] = ContextVar("gpt2hydra_job", default=None)
"""The config that Hydra composed for the job that is running here."""


@contextmanager
def job(config: Checked) -> Iterator[Checked]:
    """Within, ``config`` is known to be what Hydra composed for the running job."""
    token = JOB.set(config)
    try:
        yield config
    finally:
        JOB.reset(token)


def set_by(config: Checked) -> dict[str, Any] | None:
    """Each key of the running job's config with its settings, the one in force first; None for any other config.

    Traced from what Hydra knows of the job, in whatever process a launcher runs it.
    """
    if JOB.get() is not config or not HydraConfig.initialized():
        return None
    composer = Composer.of_running_job()
    provenance = composer.trace(task_overrides(HydraConfig.get()))
    return {key: [each.to_dict() for each in reversed(chain)] for key, chain in provenance.settings.items()}
