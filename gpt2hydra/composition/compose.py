"""From Python to a validated configuration: :func:`compose`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, overload

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.schema import ROOTS, register
from gpt2hydra.composition.yaml_traps import as_typed
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.validation import Checked

if TYPE_CHECKING:
    from gpt2hydra.composition.refusal.report import Later

C = TypeVar("C", bound=Checked)

_COMPOSERS: dict[tuple[str, str, type[Checked] | None], Composer] = {}
_COMPOSERS_LOCK = threading.Lock()


@overload
def compose(
    config_name: str = "train", overrides: Sequence[str] = (), *, config_dir: str | os.PathLike[str] | None = None
) -> Any: ...
@overload
def compose(
    config_name: str,
    overrides: Sequence[str] = (),
    *,
    config_dir: str | os.PathLike[str] | None = None,
    config_class: type[C],
) -> C: ...
def compose(
    config_name: str = "train",
    overrides: Sequence[str] = (),
    *,
    config_dir: str | os.PathLike[str] | None = None,
    config_class: type[Checked] | None = None,
) -> Any:
    """Compose and validate from Python: ``compose("train", ["model=large", "model.n_head=10"])``.

    Hydra's process-wide state stays as it was, so this works in a notebook, inside a running Hydra job, and in threads.
    YAML files are read again when they change.

    Args:
        config_name: the primary config, ``train`` or ``generate`` or one of your own.
        overrides: as on the command line.
        config_dir: the folder that holds the primary config; by default our own ``conf/``.
        config_class: what it becomes; by default told by the schema that its defaults list has, ``train_schema``,
            ``generate_schema``, or that of a program under :func:`gpt2hydra.main` that was imported.

    Returns:
        TrainConfig | GenerateConfig, or a ``config_class``.

    Raises:
        ConfigError: with every violation and who set it.
        TypeError: the class is declared wrongly.
    """
    if isinstance(overrides, str) or not isinstance(config_name, str):
        raise TypeError(f'takes a name and a list, as compose("train", ["model=large"]), not {config_name!r}, {overrides!r}')
    folder = os.path.abspath(CONF_DIR if config_dir is None else config_dir)
    if not os.path.isdir(folder):
        raise ConfigError([Violation("config_dir", folder, "is not a folder")])
    if config_class is not None:
        register(config_class, config_name)
    config_class = config_class or ROOTS.get(f"{config_name}_schema")
    key = (config_name, folder, config_class)
    with _COMPOSERS_LOCK:
        if key not in _COMPOSERS:
            _COMPOSERS[key] = Composer(config_name, folder, config_class=config_class)
        composer = _COMPOSERS[key]
    overrides = as_typed(overrides, config_class or TrainConfig)
    return compose_and_check(composer, overrides)


def compose_and_check(composer: Composer, overrides: Sequence[str]) -> Any:
    """Compose and pass the gate, with the full report where that fails."""
    with refused_whole(composer, overrides):
        return composer.instantiate(overrides)


@contextmanager
def refused_whole(composer: Composer, overrides: Sequence[str], later: Later | None = None) -> Iterator[None]:
    """Within, whatever fails becomes a ConfigError with everything that is wrong with ``overrides``.

    Args:
        later: what a program would find wrong later, to be told at once as well.
    """
    try:
        yield
    except Exception as error:
        from gpt2hydra.composition.refusal.report import refusal_of  # not needed where nothing is refused

        raise refusal_of(composer, overrides, error, later) from error
