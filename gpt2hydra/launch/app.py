"""The decorator :func:`main`: ``hydra.main`` for functions that take the validated dataclass."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

from omegaconf import DictConfig

from gpt2hydra.composition.instantiate import instantiate
from gpt2hydra.composition.validate import config_class_of
from gpt2hydra.config.sections import SectionKind
from gpt2hydra.config.validation import Checked
from gpt2hydra.launch.application import ATTRIBUTE, Application, Job
from gpt2hydra.launch.arguments import CommandLine
from gpt2hydra.training.processes import this_process


def main(
    config_name: str = "train",
    config_path: str | os.PathLike[str] | None = None,
    *,
    extra: str | None = None,
    sections: Mapping[str, SectionKind] | None = None,
) -> Callable[[Job], Callable[..., Any]]:
    """Decorate a function that takes a validated configuration, as ``hydra.main`` does for a ``DictConfig``.

    The command line is Hydra's: overrides, ``-m``, ``--cfg``, ``--info``, ``--help``, ``--config-dir``, shell
    completion. A config that is refused is reported on standard error and exits with 1; no directory is made
    and the function's imports do not happen.

    What the config becomes is the class that the function's annotation names: ``TrainConfig``,
    ``GenerateConfig``, or one of your own, declared with what :mod:`gpt2hydra.fields` has. Its schema is
    ``<config_name>_schema``, to be listed first in the primary config's defaults. There,
    ``gpt2/model@SECTION: large`` gives any section one of our sizes, typed, and so do ``gpt2/tokenizer`` and
    ``gpt2/hardware``. A class that derives from ``TrainConfig`` or ``GenerateConfig`` also inherits our
    groups: ``model: large``, ``experiment: null``; files of your own folder go before ours. Fields named
    ``dry_run`` and ``preflight`` mean what they mean in ``train.py``.

    A function of several parameters takes sections, of which each is checked against the class that it is
    annotated with: ``def main(cfg: DictConfig, model: Net, optim: Optim)``. The first may be what Hydra
    composed; the others are keys of it. All else passes as it is, and no schema is listed. A class is a
    ``Checked``, a dataclass, or a pydantic model; of several by a discriminator,
    ``Annotated[AdamW | Muon, union("type", {"adamw": AdamW, "muon": Muon})]``.

    Args:
        config_name: the primary config, ``train``, ``generate``, or one of your own.
        config_path: the folder that holds it, relative to the decorated function's file; by default our own
            ``conf/``.
        extra: an extra of this package that the function needs; reported after validation where it is not
            installed.
        sections: key → class, or ``union(...)``, of each section that the function takes, for keys such as
            ``model.config``.

    The decorated function can also be called with a ready dataclass, or with a composed ``DictConfig``.
    Without arguments in a notebook, it has no overrides. The files and the device that a ready one names are
    looked for before the function is called.

    Raises:
        ConfigError: of a call with a ready configuration: this machine lacks something that it names.
        TypeError: at once, if a class is declared wrongly, or an annotation names none.
    """

    def decorate(function: Job) -> Callable[..., Any]:
        application = Application.of(function, config_name, config_path, extra, sections)

        @functools.wraps(function)
        def wrapper(*arguments: Any) -> Any:
            if not arguments:
                return CommandLine(application).run()
            config = composed = arguments[0]
            is_composed = len(arguments) == 1 and isinstance(composed, DictConfig)
            if is_composed:
                config = instantiate(composed, application.config_class or config_class_of(composed))
            if isinstance(config, Checked):
                from gpt2hydra.launch.checks import Context, check_error, run_checks  # help and completion do without

                found = run_checks(Context(config, process=this_process(), extra=extra))
                if found:
                    raise check_error(found)
            return application.task(config, composed) if is_composed else function(*arguments)

        setattr(wrapper, ATTRIBUTE, application)
        return wrapper

    return decorate
