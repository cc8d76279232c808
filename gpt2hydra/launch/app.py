"""The decorator :func:`main`: ``hydra.main`` for functions that take a validated configuration."""

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
from gpt2hydra.launch.application import APPLICATION_ATTRIBUTE, Application, ProgramFunction
from gpt2hydra.launch.arguments import CommandLine
from gpt2hydra.training.processes import this_process


def main(
    config_name: str = "train",
    config_path: str | os.PathLike[str] | None = None,
    *,
    extra: str | None = None,
    sections: Mapping[str, SectionKind] | None = None,
) -> Callable[[ProgramFunction], Callable[..., Any]]:
    """Decorate a function that takes a validated configuration, as ``hydra.main`` does for a ``DictConfig``.

    The command line is Hydra's: overrides, ``-m``, ``--cfg``, ``--info``, ``--help``, ``--config-dir``, shell
    completion. An invalid config is reported on standard error, and the program exits with 1: it makes no
    directory and does not call the function.

    The config is converted to the class that annotates the function's parameter: ``TrainConfig``,
    ``GenerateConfig``, or one of your own, declared with :mod:`gpt2hydra.fields`. Its schema is
    ``<config_name>_schema``; list it first in the primary config's defaults. In that list,
    ``gpt2/model@SECTION: large`` gives any section one of our sizes, with its types, and so do
    ``gpt2/tokenizer`` and ``gpt2/hardware``. A class that derives from ``TrainConfig`` or ``GenerateConfig``
    also inherits our groups: ``model: large``, ``experiment: null``; files of your own folder come before
    ours. Fields named ``dry_run`` and ``preflight`` mean what they mean in ``train.py``.

    A function of several parameters takes sections: ``def main(cfg: DictConfig, model: Net, optim: Optim)``.
    The first parameter may be the config that Hydra composed. Each other parameter names a key, and its
    section is checked against the annotated class: a ``Checked``, a dataclass, or a pydantic model. A
    discriminator chooses between several classes:
    ``Annotated[AdamW | Muon, union("type", {"adamw": AdamW, "muon": Muon})]``. Other keys are passed
    unchanged, and the defaults list needs no schema.

    Args:
        config_name: the primary config, ``train``, ``generate``, or one of your own.
        config_path: the folder of the primary config, relative to the decorated function's file; by default
            our ``conf/``.
        extra: the extra of this package that the function needs; reported after validation if it is not
            installed.
        sections: key → class or ``union(...)``, for each section that the function takes; needed for keys
            such as ``model.config``.

    The decorated function can also be called with a valid configuration, or with a composed ``DictConfig``.
    Before the function is called, the files and the device that it names are checked. A call without
    arguments in a notebook has no overrides.

    Raises:
        ConfigError: in a call with a configuration: this machine lacks something that it names.
        TypeError: on decoration: a class is declared wrongly, or an annotation is no configuration class.
    """

    def decorate(function: ProgramFunction) -> Callable[..., Any]:
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
                from gpt2hydra.launch.checks import Context, error_from_checks, run_checks  # help and completion do not need it

                found = run_checks(Context(config, process=this_process(), extra=extra))
                if found:
                    raise error_from_checks(found)
            return application.task(config, composed) if is_composed else function(*arguments)

        setattr(wrapper, APPLICATION_ATTRIBUTE, application)
        return wrapper

    return decorate
