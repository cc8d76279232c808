"""What a function under :func:`gpt2hydra.main` is: the configuration that it takes, and how it is called."""

from __future__ import annotations

import inspect
import os
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from omegaconf import DictConfig

from gpt2hydra.composition.composer import Composer, FindAbsent
from gpt2hydra.composition.fold import Fold
from gpt2hydra.composition.layers import Layer
from gpt2hydra.composition.overrides import Words
from gpt2hydra.composition.schema import ROOTS, register
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.sections import SECTION_CLASSES, SectionKind, class_with_sections, section_at, section_of
from gpt2hydra.config.validation import Checked

Job = Callable[..., Any]

ATTRIBUTE = "gpt2hydra_application"
"""Where a decorated function keeps what it is."""


@dataclass(frozen=True)
class Task:
    """How a function is called: with the complete configuration, or with the sections under these keys.

    ``with_config``: what Hydra composed goes first.
    """

    function: Job
    keys: tuple[str, ...] | None = None
    with_config: bool = False

    def __call__(self, config: Checked, composed: DictConfig) -> Any:
        """Call the function with what became of ``composed``."""
        if self.keys is None:
            return self.function(config)
        return self.function(*([composed] if self.with_config else []), *(section_at(config, key) for key in self.keys))


@dataclass(frozen=True)
class Application:
    """A function that takes a configuration, what kind of one, and where that is to be found.

    ``config_class`` is None where nothing is annotated and the name is not known: the schema in the defaults
    list decides. ``task`` calls the function as it wants to be called.
    """

    function: Job
    config_name: str
    config_dir: Path
    config_class: type[Checked] | None
    task: Task
    extra: str | None = None

    @classmethod
    def of(
        cls,
        function: Job,
        config_name: str,
        config_path: str | os.PathLike[str] | None,
        extra: str | None,
        sections: Mapping[str, SectionKind] | None = None,
    ) -> Application:
        """What the arguments of the decorator say, and the function's parameters.

        Raises:
            TypeError: a parameter is annotated with no configuration class, or one that is declared wrongly,
                or ``sections`` and the parameters do not agree.
        """
        plain, config_name = inspect.unwrap(function), config_name.removesuffix(".yaml")
        folder = CONF_DIR if config_path is None else (Path(plain.__code__.co_filename).parent / config_path).resolve()
        config_name = config_name.removesuffix(".yaml").removesuffix(".yml")
        parameters = parameters_of(plain)
        if sections is None and not takes_sections(parameters):
            config_class, task = annotated_class(plain, parameters) or ROOTS.get(f"{config_name}_schema"), Task(function)
        else:
            more = sections is not None and len(parameters) == len(sections) + 1
            with_config = more or next(iter(parameters.values()), None) is DictConfig
            found = sections_of_parameters(plain, parameters, with_config, sections)
            config_class = class_with_sections(found, inspect.getdoc(plain) or "")
            task = Task(function, tuple(found), with_config)
        if config_class is not None and config_class.HAS_SCHEMA:
            register(config_class, config_name)
        return cls(function, config_name, folder, config_class, task, extra)

    def composer(self, extra_dir: str | None = None, find_absent: FindAbsent = lambda config: ()) -> Composer:
        """What composes the configuration; the arguments are those of :class:`Composer`."""
        return Composer(
            self.config_name,
            self.config_dir,
            extra_dir,
            once=True,
            config_class=self.config_class,
            find_absent=find_absent,
            begin=values_of_earlier_run,
        )


def values_of_earlier_run(config_class: type[Checked], folded: Fold) -> Mapping[str, Layer]:
    """The configuration of the run that ``resume=`` names."""
    resume = folded.leaf(("resume",))
    if resume is None or resume.value is None:
        return {}
    from gpt2hydra.launch.resume import values_of_the_run  # with all of runs/, which most compositions do without

    return values_of_the_run(config_class, folded)


def with_implied(words: Words, composer: Callable[[], Composer]) -> Words:
    """``words`` after what ``fork_from=`` and ``init_from=`` among them stand for."""
    if any(text.startswith(("init_from=", "fork_from=")) for text in words.texts):
        from gpt2hydra.checkpoint import fork_from, init_from  # most compositions name no checkpoint

        words = words.after(fork_from.implied(words.texts, set_by_options(words.texts, composer())))
        words = words.after(init_from.implied(words.texts))
    return words


def set_by_options(overrides: Sequence[str], composer: Composer) -> set[str]:
    """The keys that chosen options set, such as ``experiment=NAME``, and the groups whose option they change.

    An option that a sweep goes through sets none: each of its points has the same overrides.
    """
    found, usual = composer.fold(overrides), composer.fold(())
    if found.files is None or usual.files is None:
        return set()
    groups = {group for group, option in found.files.chosen.groups.items() if usual.files.chosen.groups.get(group) != option}
    files = tuple(f"/{each.key_or_group}/{each.value()}.yaml" for each in found.overrides.choices)
    chains = found.provenance.settings.items()
    return groups | {key for key, chain in chains if any(f"/{each.source.file}".endswith(files) for each in chain)}


# ------------------------------------------------------------------------------------- what the parameters say


def parameters_of(function: Job) -> dict[str, Any]:
    """Name → annotation of each parameter; ``Any`` where there is none.

    Raises:
        TypeError: an annotation names a class that is not defined where the function is.
    """
    names = inspect.signature(function).parameters
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        name = next(iter(names), "")
        raise TypeError(f"{function.__qualname__}({name}): its annotation cannot be read: {error}") from None
    return {name: hints.get(name, Any) for name in names}


def takes_sections(parameters: Mapping[str, Any]) -> bool:
    """Whether the parameters are sections, perhaps after Hydra's config: ``(cfg: DictConfig, model: Net)``."""
    return len(parameters) > 1


def annotated_class(function: Job, parameters: Mapping[str, Any]) -> type[Checked] | None:
    """The configuration class that annotates the one parameter; None without an annotation.

    Raises:
        TypeError: it names something else.
    """
    name, hint = next(iter(parameters.items()), ("", Any))
    if hint is Any:
        return None
    if not (isinstance(hint, type) and issubclass(hint, Checked)):
        what = getattr(hint, "__name__", hint)
        raise TypeError(f"{function.__qualname__}({name}: {what}): must be annotated with a class that derives from Checked")
    return hint


def sections_of_parameters(
    function: Job, parameters: Mapping[str, Any], with_config: bool, sections: Mapping[str, SectionKind] | None
) -> dict[str, SectionKind]:
    """Key → what it is, of each section that a function takes, in the order of its parameters.

    Raises:
        TypeError: a parameter is annotated with what can be no section, or there are more or fewer than
            ``sections``.
    """
    rest = [*parameters][with_config:]
    if sections is not None:
        if len(rest) != len(sections):
            names = ", ".join(sections)
            raise TypeError(f"{function.__qualname__}({', '.join(parameters)}): must take (cfg: DictConfig and) {names}")
        null = {key for name, key in zip(rest, sections, strict=True) if type(None) in typing.get_args(parameters[name])}
        return {key: Optional[kind] if key in null and isinstance(kind, type) else kind for key, kind in sections.items()}
    found = {name: section_of(parameters[name]) for name in rest}
    for name, field in found.items():
        if field is None:
            what = getattr(parameters[name], "__name__", parameters[name])
            allowed = f"{SECTION_CLASSES}, or Annotated[..., union(...)]; the first may be a DictConfig"
            raise TypeError(f"{function.__qualname__}({name}: {what}): must be annotated with {allowed}")
    return {name: field for name, field in found.items() if field is not None}
