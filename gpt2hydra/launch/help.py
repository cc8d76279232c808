"""The text of ``--help``: groups and what is often set; with ``all`` every field, its value, meaning, rule."""

from __future__ import annotations

import dataclasses
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import resources
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, read_write

from gpt2hydra.composition.hydra_compat import register_resolver
from gpt2hydra.composition.hydra_loader import options_of
from gpt2hydra.config.errors import ABSENT, ConfigError, Violation, command_line
from gpt2hydra.config.keys import TARGET_KEYS, default_of, doc_of, field_at, fields_of, keys_of, sections_of
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.formatting import did_you_mean, show
from gpt2hydra.utils.immutable import thaw

COLUMN = 46
"""Where the meanings begin."""

SHORT = """\
{header}
{groups}
Often set, as key=value:
{fields}

{more}"""

COMPLETE = """\
{header}
{groups}
Values, as key=value; ${{other.key}} refers to another:

{fields}

-m sweeps over a=1,2 or group=x,y, all of it checked before the first job{dry_run}.
--cfg job --resolve prints the config, --config-dir adds a folder of yours. -v lists first what is set and by whom, and
logs at level DEBUG; -q prints no progress and no notes; --version: of gpt2hydra and Hydra; --hydra-help: the rest.
"""

GROUPS = """
Groups, of each one option, as group=option; the files are in {folder}/:
{groups}
"""


def use_our_help(config: DictConfig, root: type[Checked], folder: str, words: Sequence[str] = ()) -> None:
    """Set ``hydra.help.template`` to ours, which is ``${gpt2.help:}``, where it is still Hydra's.

    A header that is still Hydra's becomes what the docstring of the configuration class begins with.

    Args:
        root: what the config becomes.
        folder: the name of the folder that holds its files.
        words: what to print: ``all``, or sections and keys; by default what is often set.

    Raises:
        ConfigError: there is no such section or key.
    """
    _check(root, words)
    register_resolver("gpt2.help", partial(_template, root, folder, words))
    file = str(resources.files("hydra.conf").joinpath("hydra/help/default.yaml"))
    hydras: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    written: Any = OmegaConf.to_container(config.hydra.help, resolve=False)
    with read_write(config.hydra.help):
        if written["template"] == hydras["template"]:
            config.hydra.help.template = "${gpt2.help:}"
        if written["header"] == hydras["header"]:
            config.hydra.help.header = doc_of(root)


def _check(root: type[Checked], words: Sequence[str]) -> None:
    sections = {key.rpartition(".")[0] for key in keys_of(root)} - {""}
    for word in words:
        if word != "all" and word not in sections and field_at(root, word) is None:
            near = did_you_mean(word, ["all", *sections, *keys_of(root)])
            raise ConfigError(
                [Violation(f"--help {word}", rule=f"is no section or key{near}", source=command_line(), action="word")]
            )


def _template(root: type[Checked], folder: str, words: Sequence[str], *, _root_: DictConfig) -> str:
    """The text, in which Hydra takes a ``$`` for a name of its own."""
    if words and "all" not in words:
        fields = "\n".join(line for word in words for line in _lines(root, _root_, word))
        return fields.strip("\n").replace("$", "$$") + "\n"
    groups = _groups(_root_, folder)
    complete = bool(words) or not root.HELP_SUMMARY
    fields = "\n".join(
        _section(root, _root_, "") if complete else (_of_key(root, _root_, key, brief=True) for key in often_set(root))
    )
    dry_run = "; dry_run=true shows the plan and starts nothing" if has_dry_run(root) else ""
    header, more = _root_.hydra.help.header, _more(root)
    text = (COMPLETE if complete else SHORT).format(header=header, groups=groups, fields=fields, more=more, dry_run=dry_run)
    return text.replace("$", "$$")


def _groups(config: DictConfig, folder: str) -> str:
    """The groups of the defaults list with their options; what another program could list is left out."""
    loader: Any = GlobalHydra.instance().config_loader()
    groups = sorted(group for group in config.hydra.runtime.choices if not group.startswith("hydra/"))
    lines = (f"{group}: {', '.join(options_of(loader.repository, group.partition('@')[0]))}" for group in groups)
    return GROUPS.format(groups="\n".join(lines), folder=folder) if groups else ""


def _more(root: type[Checked]) -> str:
    """How to see more: all keys, or those of a section, for which the largest is the example."""
    sections = {field.name: len([*keys_of(sections_of(field)[0])]) for field in fields_of(root) if sections_of(field)}
    one = f" --help {max(sections, key=lambda name: sections[name])}: a section's;" if sections else ""
    dry_run = "dry_run=true: plan; " * has_dry_run(root)
    text = (
        f"--help all: every key;{one} -m: a sweep over a=1,2; {dry_run}--cfg job: config; -v: verbose; -q: quiet; --hydra-help."
    )
    return textwrap.fill(text, 80, break_on_hyphens=False, break_long_words=False)


def often_set(root: type[Checked]) -> list[str]:
    """The keys of the short help: those that the class names, and all that a class derived from it adds."""
    named = next(each for each in root.__mro__ if "HELP_SUMMARY" in vars(each))
    known = set(keys_of(named))
    return [*root.HELP_SUMMARY, *(key for key in keys_of(root) if key not in known)]


def has_dry_run(root: type[Checked]) -> bool:
    """Whether a class has the field ``dry_run``."""
    return field_at(root, "dry_run") is not None


def _lines(root: type[Checked], config: DictConfig, key: str) -> Iterator[str]:
    field = field_at(root, key)
    if field is not None and sections_of(field):
        yield from _section_of(field, OmegaConf.select(config, key), key)
    else:
        yield _of_key(root, config, key)


def _section(config_class: type[Any], config: DictConfig, prefix: str) -> Iterator[str]:
    """Every key of a composed config, section by section."""
    for field in sorted(fields_of(config_class), key=lambda field: bool(sections_of(field))):
        key = f"{prefix}{field.name}"
        if sections_of(field):
            yield from _section_of(field, config.get(field.name) if field.name in config else None, key)
        elif field.name in config or field.name not in TARGET_KEYS:
            yield _line(key, field, _value(config, field))


def _section_of(field: dataclasses.Field[Any], config: Any, key: str) -> Iterator[str]:
    """A section: its meaning and its keys; of a union those that the discriminator chooses, else all."""
    chosen, variants = field.metadata.get("discriminator"), field.metadata.get("variants", {})
    of_key = f"{chosen} is one of {', '.join(map(str, variants))}" if chosen else ""
    yield f"\n{key}: {'; '.join(filter(None, (field.metadata['doc'], of_key)))}".rstrip()
    if not OmegaConf.is_dict(config):
        yield f"  {key}={show(config)}"
        return
    classes = sections_of(field)
    if chosen:
        classes = tuple(each for value, each in variants.items() if value == config.get(chosen)) or classes
    for nested in classes:
        yield from _section(nested, config, f"{key}.")


def _of_key(root: type[Checked], config: DictConfig, key: str, *, brief: bool = False) -> str:
    field, parent = field_at(root, key), key.rpartition(".")[0]
    assert field is not None
    within = OmegaConf.select(config, parent) if parent else config
    return _line(key, field, _value(within, field) if OmegaConf.is_dict(within) else show(within), brief=brief)


def _line(key: str, field: dataclasses.Field[Any], value: str, *, brief: bool = False) -> str:
    """``key=value``, its meaning and its rule; the meaning's first part alone where it is to be brief."""
    rule = f"; {field.metadata['rule']}" if "rule" in field.metadata else "; computed, cannot be set"
    doc = field.metadata["doc"].partition(";")[0] if brief else field.metadata["doc"] + rule
    column = COLUMN - 14 if brief else COLUMN
    width = max(shutil.get_terminal_size((80 if brief else 120, 0)).columns, 2 * column)
    head = f"  {f'{key}={value}':<{column - 3}} "
    return textwrap.fill(doc, width, initial_indent=head, subsequent_indent=" " * column, break_on_hyphens=False)


def _value(config: DictConfig, field: dataclasses.Field[Any]) -> str:
    """The value of a composed config, the default where that has none."""
    try:
        value: Any = config[field.name] if field.name in config else default_of(field)
    except Exception:  # not given, or it cannot be resolved: as it was written
        value = OmegaConf.to_container(config, resolve=False)[field.name]  # type: ignore[index, call-overload]
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, resolve=False)
    return "???" if value is ABSENT else show(thaw(value), 40)
