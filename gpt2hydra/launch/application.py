"""A function decorated with :func:`gpt2hydra.main`: parameters, configuration class and primary config."""

from __future__ import annotations

import inspect
import os
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from omegaconf import DictConfig

from gpt2hydra.composition.composer import Composer, FindMissingFiles
from gpt2hydra.composition.fold import Fold
from gpt2hydra.composition.layers import Layer
from gpt2hydra.composition.overrides import OverrideTexts
from gpt2hydra.composition.schema import ROOTS, register
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.sections import SECTION_CLASSES, SectionKind, class_with_sections, get_section, section_field
from gpt2hydra.config.validation import Checked

ProgramFunction = Callable[..., Any]

APPLICATION_ATTRIBUTE = "gpt2hydra_application"
"""The attribute of a decorated function that holds its :class:`Application`."""


@dataclass(frozen=True)
class Task:
    """Calls a function with the complete configuration, or with the sections under ``keys``.

    ``with_config``: the first argument is the config that Hydra composed.
    """

    function: ProgramFunction
    keys: tuple[str, ...] | None = None
    with_config: bool = False

    def __call__(self, config: Checked, composed: DictConfig) -> Any:
        """Call the function with ``config``, the validated form of ``composed``."""
        if self.keys is None:
            return self.function(config)
        return self.function(*([composed] if self.with_config else []), *(get_section(config, key) for key in self.keys))


@dataclass(frozen=True)
class Application:
    """A decorated function, its configuration class, and the place of its primary config.

    ``config_class`` is None if the parameter has no annotation and ``config_name`` is not one of ours: then
    the schema in the defaults list decides. ``task`` calls the function with the arguments that it takes.
    """

    function: ProgramFunction
    config_name: str
    config_dir: Path
    config_class: type[Checked] | None
    task: Task
    extra: str | None = None

    @classmethod
    def of(
        cls,
        function: ProgramFunction,
        config_name: str,
        config_path: str | os.PathLike[str] | None,
        extra: str | None,
        sections: Mapping[str, SectionKind] | None = None,
    ) -> Application:
        """Return the application that the decorator's arguments and the function's parameters declare.

        Raises:
            TypeError: an annotation is no configuration class, a class is declared wrongly, or ``sections``
                and the parameters do not agree.
        """
        unwrapped = inspect.unwrap(function)
        folder = CONF_DIR if config_path is None else (Path(unwrapped.__code__.co_filename).parent / config_path).resolve()
        config_name = config_name.removesuffix(".yaml").removesuffix(".yml")
        parameters = read_parameters(unwrapped)
        if sections is None and not takes_sections(parameters):
            config_class, task = read_config_class(unwrapped, parameters) or ROOTS.get(f"{config_name}_schema"), Task(function)
        else:
            has_extra_parameter = sections is not None and len(parameters) == len(sections) + 1
            with_config = has_extra_parameter or next(iter(parameters.values()), None) is DictConfig
            found = read_sections(unwrapped, parameters, with_config, sections)
            config_class = class_with_sections(found, inspect.getdoc(unwrapped) or "")
            task = Task(function, tuple(found), with_config)
        if config_class is not None and config_class.HAS_SCHEMA:
            register(config_class, config_name)
        return cls(function, config_name, folder, config_class, task, extra)

    def composer(self, extra_dir: str | None = None, find_missing_files: FindMissingFiles = lambda config: ()) -> Composer:
        """Return a composer of the configuration; the arguments are those of :class:`Composer`."""
        return Composer(
            self.config_name,
            self.config_dir,
            extra_dir,
            once=True,
            config_class=self.config_class,
            find_missing_files=find_missing_files,
            resumed_values=resumed_values,
        )


def resumed_values(config_class: type[Checked], folded: Fold) -> Mapping[str, Layer]:
    """Return key → recorded value of the run that ``resume=`` names; empty if it names none."""
    resume = folded.leaf(("resume",))
    if resume is None or resume.value is None:
        return {}
    from gpt2hydra.launch.resume import read_resumed_values  # imports runs/, which most compositions do not need

    return read_resumed_values(config_class, folded)


def add_implied_overrides(words: OverrideTexts, composer: Callable[[], Composer]) -> OverrideTexts:
    """Put the overrides that ``fork_from=`` and ``init_from=`` imply before ``words``."""
    if any(text.startswith(("init_from=", "fork_from=")) for text in words.texts):
        from gpt2hydra.checkpoint import fork_from, init_from  # most compositions name no checkpoint

        set_by_options = find_keys_of_options(words.texts, composer())
        words = words.prepend(fork_from.implied_overrides(words.texts, set_by_options))
        words = words.prepend(init_from.implied_overrides(words.texts, set_by_options))
    return words


def find_keys_of_options(overrides: Sequence[str], composer: Composer) -> set[str]:
    """Return the keys that chosen options (such as ``experiment=NAME``) set, and the groups that they change.

    An option that a sweep varies sets none, because all points of the sweep share these overrides.
    """
    found = composer.fold(overrides)
    if found.files is None or not found.overrides.choices:
        return set()
    default = composer.fold(())
    if default.files is None:
        return set()
    groups = {group for group, option in found.files.chosen.groups.items() if default.files.chosen.groups.get(group) != option}
    files = tuple(f"/{each.key_or_group}/{each.value()}.yaml" for each in found.overrides.choices)
    chains = found.provenance.settings.items()
    return groups | {key for key, chain in chains if any(f"/{each.source.file}".endswith(files) for each in chain)}


# ------------------------------------------------------------------------------------- the function's parameters


def read_parameters(function: ProgramFunction) -> dict[str, Any]:
    """Return name → annotation of each parameter; ``Any`` if it has none.

    Raises:
        TypeError: an annotation names a class that the function's module does not define.
    """
    names = inspect.signature(function).parameters
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        name = next(iter(names), "")
        raise TypeError(f"{function.__qualname__}({name}): its annotation cannot be read: {error}") from None
    return {name: hints.get(name, Any) for name in names}


def takes_sections(parameters: Mapping[str, Any]) -> bool:
    """Whether a function takes sections, not a complete configuration: ``(cfg: DictConfig, model: Net)``."""
    return len(parameters) > 1


def read_config_class(function: ProgramFunction, parameters: Mapping[str, Any]) -> type[Checked] | None:
    """Return the class that annotates the only parameter; None if there is no annotation.

    Raises:
        TypeError: the annotation is no configuration class.
    """
    name, hint = next(iter(parameters.items()), ("", Any))
    if hint is Any:
        return None
    if not (isinstance(hint, type) and issubclass(hint, Checked)):
        what = getattr(hint, "__name__", hint)
        raise TypeError(f"{function.__qualname__}({name}: {what}): must be annotated with a class that derives from Checked")
    return hint


def read_sections(
    function: ProgramFunction, parameters: Mapping[str, Any], with_config: bool, sections: Mapping[str, SectionKind] | None
) -> dict[str, SectionKind]:
    """Return key → class of each section that a function takes, in the order of its parameters.

    Raises:
        TypeError: an annotation is no class of a section, or ``sections`` and parameters differ in number.
    """
    rest = [*parameters][with_config:]
    if sections is not None:
        if len(rest) != len(sections):
            names = ", ".join(sections)
            raise TypeError(f"{function.__qualname__}({', '.join(parameters)}): must take (cfg: DictConfig and) {names}")
        null = {key for name, key in zip(rest, sections, strict=True) if type(None) in typing.get_args(parameters[name])}
        return {key: Optional[kind] if key in null and isinstance(kind, type) else kind for key, kind in sections.items()}
    found = {name: section_field(parameters[name]) for name in rest}
    for name, field in found.items():
        if field is None:
            what = getattr(parameters[name], "__name__", parameters[name])
            allowed = f"{SECTION_CLASSES}, or Annotated[..., union(...)]; the first may be a DictConfig"
            raise TypeError(f"{function.__qualname__}({name}: {what}): must be annotated with {allowed}")
    return {name: field for name, field in found.items() if field is not None}
