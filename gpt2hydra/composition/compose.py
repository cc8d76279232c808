"""From Python to a validated configuration: :func:`compose`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.schema import ROOTS
from gpt2hydra.composition.yaml_traps import as_typed
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import TrainConfig

_COMPOSERS: dict[tuple[str, str], Composer] = {}
_COMPOSERS_LOCK = threading.Lock()


def compose(
    config_name: str = "train", overrides: Sequence[str] = (), *, config_dir: str | os.PathLike[str] | None = None
) -> Any:
    """Compose and validate from Python: ``compose("train", ["model=large", "model.n_head=10"])``.

    Hydra's process-wide state stays as it was, so this works in a notebook, inside a running Hydra job, and in threads.
    YAML files are read again when they change.

    Args:
        config_name: the primary config, ``train`` or ``generate`` or one of your own.
        overrides: as on the command line.
        config_dir: the folder that holds the primary config; by default our own ``conf/``.

    Returns:
        TrainConfig | GenerateConfig.

    Raises:
        ConfigError: with every violation and who set it.
    """
    if isinstance(overrides, str) or not isinstance(config_name, str):
        raise TypeError(f'takes a name and a list, as compose("train", ["model=large"]), not {config_name!r}, {overrides!r}')
    key = (config_name, str(config_dir or CONF_DIR))
    with _COMPOSERS_LOCK:
        if key not in _COMPOSERS:
            _COMPOSERS[key] = Composer(*key)
        composer = _COMPOSERS[key]
    overrides = as_typed(overrides, ROOTS.get(f"{config_name}_schema", TrainConfig))
    return compose_and_check(composer, overrides)


def compose_and_check(composer: Composer, overrides: Sequence[str]) -> Any:
    """Compose and pass the gate, with the full report where that fails."""
    with refused_whole(composer, overrides):
        return composer.instantiate(overrides)


@contextmanager
def refused_whole(composer: Composer, overrides: Sequence[str]) -> Iterator[None]:
    """Within, whatever fails becomes a ConfigError with everything that is wrong with ``overrides``."""
    try:
        yield
    except Exception as error:
        from gpt2hydra.composition.refusal.report import refusal_of  # not needed where nothing is refused

        raise refusal_of(composer, overrides, error) from error
