"""A program under :func:`gpt2hydra.main`, for the commands that look at it without running it: ``--app module:function``."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpt2hydra.composition.composer import Composer, Look
from gpt2hydra.composition.schema import ROOTS, register
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.formatting import did_you_mean
from gpt2hydra.utils.invocation import PROGRAMS

Job = Callable[[Any], Any]

ATTRIBUTE = "gpt2hydra_application"
"""Where a decorated function keeps what it is."""


@dataclass(frozen=True)
class Application:
    """A function that takes a configuration, what kind of one, and where that is to be found.

    ``config_class`` is None where nothing is annotated and the name is not known: the schema in the defaults list will tell.
    """

    function: Job
    config_name: str
    config_dir: Path
    config_class: type[Checked] | None
    extra: str | None = None

    @classmethod
    def of(cls, function: Job, config_name: str, config_path: str | os.PathLike[str] | None, extra: str | None) -> Application:
        """What the arguments of the decorator say, and the function's annotation.

        Raises:
            TypeError: the annotation names no configuration class, or one that is declared wrongly.
        """
        plain, config_name = inspect.unwrap(function), config_name.removesuffix(".yaml")
        folder = CONF_DIR if config_path is None else (Path(plain.__code__.co_filename).parent / config_path).resolve()
        config_class = annotated_class(plain) or ROOTS.get(f"{config_name}_schema")
        if config_class is not None:
            register(config_class, config_name)
        return cls(function, config_name, folder, config_class, extra)

    def composer(self, extra_dir: str | None = None, look: Look = lambda config: ()) -> Composer:
        """What composes the configuration; ``extra_dir`` is searched too; ``look`` as for :class:`Composer`."""
        return Composer(self.config_name, self.config_dir, extra_dir, once=True, config_class=self.config_class, look=look)


def annotated_class(function: Job) -> type[Checked] | None:
    """The configuration class that the annotation of the first parameter names; None where there is no annotation.

    Raises:
        TypeError: it names something else, or a class that is not defined where the function is.
    """
    name = next(iter(inspect.signature(function).parameters), "")
    try:
        hint = typing.get_type_hints(function).get(name, Any)
    except NameError as error:
        raise TypeError(f"{function.__qualname__}({name}): its annotation cannot be read: {error}") from None
    if hint is Any:
        return None
    if not (isinstance(hint, type) and issubclass(hint, Checked)):
        what = getattr(hint, "__name__", hint)
        raise TypeError(f"{function.__qualname__}({name}: {what}): must be annotated with a class that derives from Checked")
    return hint


def application_at(path: str) -> Application:
    """The program that ``module:function`` names; the current directory is looked in first, as ``python -m`` does.

    Raises:
        ConfigError: there is no such module or function, or it is not decorated with ``@gpt2hydra.main``.
    """
    module_name, colon, name = path.partition(":")
    if not (module_name and colon and name):
        raise ConfigError([Violation("--app", path, "must be module:function, as in my_package.finetune:main")])
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError([Violation("--app", path, f"cannot be imported: {error}")]) from None
    programs = {each: getattr(value, ATTRIBUTE) for each, value in vars(module).items() if hasattr(value, ATTRIBUTE)}
    if name not in programs:
        known = f"; programs in {module_name}: {', '.join(programs)}" if programs else ""
        rule = f"is no function under @gpt2hydra.main{known}{did_you_mean(name, programs, f'{module_name}:')}"
        raise ConfigError([Violation("--app", path, rule)])
    found: Application = programs[name]
    return found


def program_meant(app: str | None, words: list[str]) -> Application:
    """The program of ``--app``; without it, ours that the first of ``words`` names, which is taken from them, or train.

    Raises:
        ConfigError: there is no such program.
    """
    ours = words.pop(0) if app is None and words and words[0] in PROGRAMS else "train"
    return application_at(app or f"gpt2hydra.launch.programs:{ours}")
