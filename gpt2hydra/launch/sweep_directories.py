"""The directories of a sweep: one for each point, checked before the first job."""

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
from gpt2hydra.launch.points import Point, uses_basic
from gpt2hydra.runs.directory import check_directory, find_write_error, unwritable_violation
from gpt2hydra.utils.quoting import RawOverride


def locate_points(composer: Composer, composed: DictConfig, points: Mapping[int, Point]) -> dict[int, Path]:
    """Return the directory of each point.

    Raises:
        ConfigError: one cannot be written, holds a run that does not continue, or belongs to two points.
    """
    written: Any = OmegaConf.to_container(composed.hydra.sweep, resolve=False)
    with resolving("hydra.sweep.dir", written["dir"]):
        parent = Path(composed.hydra.sweep.dir).absolute()
    reason = find_write_error(parent)
    if reason:
        raise ConfigError([unwritable_violation(parent, reason, "hydra.sweep.dir")])
    _check_adaptive_directories(composed, written)
    is_numbered = written["subdir"] in _JOB_NUMBER_REFERENCES and _is_same_for_each_point(written["dir"])
    if is_numbered and not parent.exists():
        return {number: parent / str(number) for number in points}
    continues, files = composed.get("resume") is not None, files_of_job(composed)
    users: dict[Path, int] = {}
    for number, overrides in points.items():
        with resolving("hydra.sweep.subdir", written["subdir"]):
            directory = parent / str(number) if is_numbered else Path(composer.job_directory(overrides, number))
        if not is_numbered:
            _check_subdir(directory, written["subdir"])
        if not continues:
            check_directory(directory, "hydra.sweep.dir", written=written["dir"], files=files)
        directory = Path(os.path.realpath(directory))
        if directory in users:
            rule = f"gives points #{users[directory]} and #{number} the same directory, {directory}"
            remedy = {"hydra.sweep.subdir": RawOverride(_JOB_NUMBER_REFERENCES[0])}
            raise ConfigError([Violation("hydra.sweep.subdir", written["subdir"], rule, remedy=remedy)])
        users[directory] = number
    return {number: directory for directory, number in users.items()}


def _check_subdir(directory: Path, written: str) -> None:
    """Refuse a ``hydra.sweep.subdir`` that is no valid folder name, for example because it is too long."""
    reason = find_write_error(directory)
    if reason and written not in _JOB_NUMBER_REFERENCES and not find_write_error(directory.parent):
        rule, remedy = f"is not a valid folder name ({reason})", {"hydra.sweep.subdir": RawOverride(_JOB_NUMBER_REFERENCES[0])}
        raise ConfigError([Violation("hydra.sweep.subdir", written, rule, remedy=remedy)])


def _check_adaptive_directories(composed: DictConfig, written: Mapping[str, str]) -> None:
    """Refuse directories that two trials could share, because an adaptive sweeper may try a point twice."""
    if uses_basic(composed) or composed.hydra.sweeper.get("n_trials") == 1:
        return
    if not any(number in written[each] for each in ("dir", "subdir") for number in _JOB_NUMBER_REFERENCES):
        rule = "may give two trials the same directory, because a point can be tried twice"
        remedy = {"hydra.sweep.subdir": RawOverride(f"{written['subdir']}/{_JOB_NUMBER_REFERENCES[0]}")}
        raise ConfigError([Violation("hydra.sweep.subdir", written["subdir"], rule, remedy=remedy)])


def _is_same_for_each_point(written: str) -> bool:
    """Whether ``hydra.sweep.dir`` refers only to values that are the same for all points."""
    return re.sub(r"\$\{(now:|oc\.env:|hydra[.:](job\.(name|config_name)\}|runtime\.))", "", written).count("${") == 0


_JOB_NUMBER_REFERENCES = ("${hydra.job.num}", "${hydra:job.num}")
"""Hydra's default for ``hydra.sweep.subdir``, and an equivalent."""
