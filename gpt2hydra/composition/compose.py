"""Compose and validate a configuration from Python: :func:`compose`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, overload

from gpt2hydra.composition.composer import Composer, Composition
from gpt2hydra.composition.hydra_errors import unknown_error_violation
from gpt2hydra.composition.overrides import OverrideTexts
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

    Hydra's process-wide state is not changed, so this works in a notebook, inside a running Hydra job, and in
    threads. A YAML file is read again after it changed.

    Args:
        config_name: the primary config: ``train``, ``generate`` or one of your own.
        overrides: as on the command line.
        config_dir: the folder of the primary config; by default our own ``conf/``.
        config_class: the class of the result. By default it is the class of the schema in the defaults list:
            ``train_schema``, ``generate_schema``, or the schema of an imported program with
            :func:`gpt2hydra.main`.

    Returns:
        TrainConfig, GenerateConfig, or an instance of ``config_class``.

    Raises:
        ConfigError: with every violation and its source.
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
    words = OverrideTexts.from_command_line(overrides, config_class or TrainConfig)
    with words.showing_sources():
        return compose_and_check(composer, words.texts)


def compose_and_check(composer: Composer, overrides: Sequence[str]) -> Any:
    """Return the valid configuration; raise ConfigError with all violations and remedies if there are any."""
    found = composer.compose(overrides)
    if found.violations:
        raise refusal(composer, found)
    return found.config


FindFurther = Callable[[Composition], Iterable[Violation]]
"""Returns the violations that the checks before a run find in the composition of the valid overrides."""


def compose_run(composer: Composer, overrides: Sequence[str], find_further: FindFurther | None = None) -> Composition:
    """Compose a run, also with Hydra. Hydra gets no sweep overrides, because a file may ask for a sweep.

    Raises:
        ConfigError: with all violations and remedies.
    """
    found = composer.fold(overrides)
    if all(each.multirun for each in found.violations):
        composer.add_hydra_composition(found, leave_sweeps_out=True)
    else:
        composer.check_hydra_section(found)
    if found.composed is None:
        raise refusal(composer, found, find_further)
    return found


def refusal_after(
    composer: Composer, overrides: Sequence[str], error: Exception, find_further: FindFurther | None = None
) -> ConfigError:
    """Return the report on overrides for which Hydra raised ``error``."""
    found = composer.compose(overrides)
    if isinstance(error, ConfigError) and (error.violations[0].key.startswith("hydra.") or not found.violations):
        found.violations += (each for each in error.violations if each not in found.violations)
    found.violations = found.violations or [unknown_error_violation(error)]
    return refusal(composer, found, find_further)


def refusal(composer: Composer, found: Composition, find_further: FindFurther | None = None) -> ConfigError:
    """Return all violations, with only those remedies that work.

    Args:
        find_further: returns violations of further checks, which are reported too.
    """
    from gpt2hydra.composition.suggest import add_candidate_remedy, corrected_overrides  # not needed without a violation

    overrides = found.overrides.texts
    rest = corrected_overrides(found.violations, overrides, composer.with_searchpath(overrides).options)
    right = composer.compose(rest) if rest != [*overrides] and not found.resume_failed else found
    known = {each.key for each in found.violations}
    missing = composer.find_missing_files(right.config) if right.is_valid else ()
    traced = [right.provenance.add_source(each) for each in missing]
    found.violations += (each for each in traced if each.key not in known)
    if found.root is not None:
        found.violations = [add_candidate_remedy(each, found.provenance, found.root) for each in found.violations]
    known = {each.key for each in found.violations}
    further = [each for each in (find_further(right) if find_further else ()) if each.key not in known]
    return ConfigError([*try_remedies(composer, found, further), *further])


def try_remedies(composer: Composer, found: Composition, further: Sequence[Violation] = ()) -> list[Violation]:
    """Return the violations of a composition; remedies that do not work are removed.

    ``further`` are other violations, which are ignored when a remedy is tried.
    """
    from gpt2hydra.composition.suggest import Trial  # not needed without a violation

    def check(texts: Sequence[str]) -> Sequence[Violation]:
        tried = composer.compose(texts)
        return tried.violations or composer.find_missing_files(tried.config)

    texts = found.overrides.texts
    trial = Trial(texts, [*found.violations, *further], check, composer.with_searchpath(texts).options)
    return [trial.keep_working_remedy(each) for each in found.violations]
