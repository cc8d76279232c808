"""From Python to a validated configuration: :func:`compose`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, overload

from gpt2hydra.composition.composer import Composer, Composition
from gpt2hydra.composition.hydra_errors import unexplained
from gpt2hydra.composition.overrides import Words
from gpt2hydra.composition.schema import ROOTS, register
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.config.validation import Checked

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

    Hydra's process-wide state stays as it was, so this works in a notebook, inside a running Hydra job, and
    in threads. YAML files are read again when they change.

    Args:
        config_name: the primary config, ``train`` or ``generate`` or one of your own.
        overrides: as on the command line.
        config_dir: the folder that holds the primary config; by default our own ``conf/``.
        config_class: what it becomes; by default that of the schema that its defaults list has,
            ``train_schema``, ``generate_schema``, or that of a program under :func:`gpt2hydra.main` that was
            imported.

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
    words = Words.typed(overrides, config_class or TrainConfig)
    with words.reported():
        return compose_and_check(composer, words.texts)


def compose_and_check(composer: Composer, overrides: Sequence[str]) -> Any:
    """Compose and validate, with the complete report where that fails."""
    found = composer.compose(overrides)
    if found.violations:
        raise refusal(composer, found)
    return found.config


FindFurther = Callable[[Composition], Iterable[Violation]]
"""What the checks before a start find, given the words of a command line that are right."""


def compose_run(composer: Composer, overrides: Sequence[str], find_further: FindFurther | None = None) -> Composition:
    """Compose a run, by Hydra too; overrides that sweep are left out there, for a file may ask for a sweep.

    Raises:
        ConfigError: with everything that is wrong.
    """
    found = composer.fold(overrides)
    if all(each.multirun for each in found.violations):
        composer.ask_hydra(found, leave_sweeps_out=True)
    else:
        composer.check_hydra_section(found)
    if found.composed is None:
        raise refusal(composer, found, find_further)
    return found


def refusal_of(
    composer: Composer, overrides: Sequence[str], error: Exception, find_further: FindFurther | None = None
) -> ConfigError:
    """The report on overrides that Hydra refuses with ``error``."""
    found = composer.compose(overrides)
    if isinstance(error, ConfigError) and (error.violations[0].key.startswith("hydra.") or not found.violations):
        found.violations += (each for each in error.violations if each not in found.violations)
    found.violations = found.violations or [unexplained(error)]
    return refusal(composer, found, find_further)


def refusal(composer: Composer, found: Composition, find_further: FindFurther | None = None) -> ConfigError:
    """Everything that is wrong, with the remedies that work.

    Args:
        find_further: what else is wrong, to be reported at once as well.
    """
    from gpt2hydra.composition.suggest import candidate, words_meant  # not needed where nothing is refused

    overrides = found.overrides.texts
    rest = words_meant(found.violations, overrides, composer.with_searchpath(overrides).options)
    right = composer.compose(rest) if rest != [*overrides] and not found.start_unknown else found
    known = {each.key for each in found.violations}
    absent = [right.provenance.blame(each) for each in (composer.find_absent(right.config) if right.is_valid else ())]
    found.violations += (each for each in absent if each.key not in known)
    if found.root is not None:
        found.violations = [candidate(each, found.provenance, found.root) for each in found.violations]
    known = {each.key for each in found.violations}
    further = [each for each in (find_further(right) if find_further else ()) if each.key not in known]
    return ConfigError([*with_tried_remedies(composer, found, further), *further])


def with_tried_remedies(composer: Composer, found: Composition, further: Sequence[Violation] = ()) -> list[Violation]:
    """The violations of a composition with the remedies that work; those that do not are left out.

    ``further`` is what else is wrong, which no remedy brings.
    """
    from gpt2hydra.composition.suggest import Trial  # not needed where nothing is refused

    def check(texts: Sequence[str]) -> Sequence[Violation]:
        tried = composer.compose(texts)
        return tried.violations or composer.find_absent(tried.config)

    texts = found.overrides.texts
    trial = Trial(texts, [*found.violations, *further], check, composer.with_searchpath(texts).options)
    return [trial.tried(each) for each in found.violations]
