"""The directories of a sweep: one for each point, looked at before the first job."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_errors import resolving
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.launch.hydra_components import files_of_job
from gpt2hydra.launch.points import Point, is_basic
from gpt2hydra.runs.directory import check_directory, unwritable, why_unwritable
from gpt2hydra.utils.quoting import RawOverride


def locate_points(composer: Composer, composed: DictConfig, points: Mapping[int, Point]) -> dict[int, Path]:
    """The directory of each point.

    Raises:
        ConfigError: one cannot be written, holds a run that is not to continue, or would be shared.
    """
    written: Any = OmegaConf.to_container(composed.hydra.sweep, resolve=False)
    with resolving("hydra.sweep.dir", written["dir"]):
        parent = Path(composed.hydra.sweep.dir).absolute()
    reason = why_unwritable(parent)
    if reason:
        raise ConfigError([unwritable(parent, reason, "hydra.sweep.dir")])
    _check_adaptive(composed, written)
    numbered = written["subdir"] in _NUMBERED and _same_for_each_point(written["dir"])
    if numbered and not parent.exists():
        return {number: parent / str(number) for number in points}
    continues, files = composed.get("resume") is not None, files_of_job(composed)
    users: dict[Path, int] = {}
    for number, overrides in points.items():
        with resolving("hydra.sweep.subdir", written["subdir"]):
            directory = parent / str(number) if numbered else Path(composer.job_directory(overrides, number))
        if not numbered:
            _check_subdir(directory, written["subdir"])
        if not continues:
            check_directory(directory, "hydra.sweep.dir", written=written["dir"], files=files)
        directory = Path(os.path.realpath(directory))
        if directory in users:
            rule = f"gives points #{users[directory]} and #{number} one directory, {directory}"
            remedy = {"hydra.sweep.subdir": RawOverride(_NUMBERED[0])}
            raise ConfigError([Violation("hydra.sweep.subdir", written["subdir"], rule, remedy=remedy)])
        users[directory] = number
    return {number: directory for directory, number in users.items()}


def _check_subdir(directory: Path, written: str) -> None:
    """Refuse a ``hydra.sweep.subdir`` of which no folder can be made: a name that is too long."""
    reason = why_unwritable(directory)
    if reason and written not in _NUMBERED and not why_unwritable(directory.parent):
        rule, remedy = f"is no name for a folder ({reason})", {"hydra.sweep.subdir": RawOverride(_NUMBERED[0])}
        raise ConfigError([Violation("hydra.sweep.subdir", written, rule, remedy=remedy)])


def _check_adaptive(composed: DictConfig, written: Mapping[str, str]) -> None:
    """Refuse directories that the trials of an adaptive sweeper would share: it may try a point twice."""
    if is_basic(composed) or composed.hydra.sweeper.get("n_trials") == 1:
        return
    if not any(number in written[each] for each in ("dir", "subdir") for number in _NUMBERED):
        rule = "may give two trials one directory, for a point can be tried twice"
        remedy = {"hydra.sweep.subdir": RawOverride(f"{written['subdir']}/{_NUMBERED[0]}")}
        raise ConfigError([Violation("hydra.sweep.subdir", written["subdir"], rule, remedy=remedy)])


def _same_for_each_point(written: str) -> bool:
    """Whether a ``hydra.sweep.dir`` refers to nothing that a point could set."""
    return re.sub(r"\$\{(now:|oc\.env:|hydra[.:](job\.(name|config_name)\}|runtime\.))", "", written).count("${") == 0


_NUMBERED = ("${hydra.job.num}", "${hydra:job.num}")
"""Hydra's own choice, and another word for it."""
