"""Hydra's public API as a user calls it on the version that runs: 1.3 wants ``version_base``, 1.4 warns of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra import initialize_config_dir

from gpt2hydra.composition.hydra_compat import HYDRA

VERSION_BASE: dict[str, str] = {"version_base": "1.3"} if HYDRA < (1, 4) else {}


@contextmanager
def hydra_in(folder: str | Path, job_name: str = "app") -> Iterator[None]:
    """``hydra.compose`` works inside, on the YAML files of ``folder``."""
    with initialize_config_dir(str(folder), job_name=job_name, **VERSION_BASE):
        yield
