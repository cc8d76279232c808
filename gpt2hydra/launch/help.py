"""The text of ``--help``: groups and keys that are often set; with ``all`` all keys, meanings, rules."""

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
from gpt2hydra.composition.hydra_loader import group_options
from gpt2hydra.config.errors import ABSENT, ConfigError, Violation, command_line
from gpt2hydra.config.keys import TARGET_KEYS, default_of, doc_of, field_at, fields_of, keys_of, section_classes
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.formatting import did_you_mean, format_value
from gpt2hydra.utils.immutable import thaw

MEANING_COLUMN = 46
"""The column in which the meanings begin."""

SHORT_HELP = """\
{header}
{groups}
Often set, as key=value:
{fields}

{more}"""

COMPLETE_HELP = """\
{header}
{groups}
All keys, as key=value; ${{other.key}} refers to another key:

{fields}

-m sweeps over a=1,2 or group=x,y and checks every point before the first job{dry_run}.
--cfg job --resolve prints the config; --config-dir adds a folder of yours. -v first lists the values that are set and
their sources, and logs at DEBUG level; -q prints no progress and no notes; --version: the versions of gpt2hydra and
Hydra; --hydra-help: all other options.
"""

GROUPS_HELP = """
Config groups, as group=option; the files are in {folder}/:
{groups}
"""


def install_help_template(config: DictConfig, root: type[Checked], folder: str, topics: Sequence[str] = ()) -> None:
    """Replace Hydra's default ``hydra.help.template`` by ours, ``${gpt2.help:}``; keep a user's template.

    Replace Hydra's default header by the first line of the configuration class's docstring.

    Args:
        root: the configuration class.
        folder: the name of the folder of the config's files.
        topics: what to print: ``all``, or sections and keys; by default the keys that are often set.

    Raises:
        ConfigError: there is no such section or key.
    """
    _check_topics(root, topics)
    register_resolver("gpt2.help", partial(_format_help, root, folder, topics))
    file = str(resources.files("hydra.conf").joinpath("hydra/help/default.yaml"))
    hydra_default: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    current: Any = OmegaConf.to_container(config.hydra.help, resolve=False)
    with read_write(config.hydra.help):
        if current["template"] == hydra_default["template"]:
            config.hydra.help.template = "${gpt2.help:}"
        if current["header"] == hydra_default["header"]:
            config.hydra.help.header = doc_of(root)


def _check_topics(root: type[Checked], topics: Sequence[str]) -> None:
    sections = {key.rpartition(".")[0] for key in keys_of(root)} - {""}
    for topic in topics:
        if topic != "all" and topic not in sections and field_at(root, topic) is None:
            near = did_you_mean(topic, ["all", *sections, *keys_of(root)])
            raise ConfigError(
                [Violation(f"--help {topic}", rule=f"is no section or key{near}", source=command_line(), action="word")]
            )


def _format_help(root: type[Checked], folder: str, topics: Sequence[str], *, _root_: DictConfig) -> str:
    """Return the text of ``--help``. Each ``$`` is doubled, because Hydra substitutes ``$NAME``."""
    if topics and "all" not in topics:
        fields = "\n".join(line for topic in topics for line in _format_topic(root, _root_, topic))
        return fields.strip("\n").replace("$", "$$") + "\n"
    groups = _format_groups(_root_, folder)
    complete = bool(topics) or not root.HELP_SUMMARY
    fields = "\n".join(
        _format_fields(root, _root_, "")
        if complete
        else (_format_key(root, _root_, key, brief=True) for key in often_set_keys(root))
    )
    dry_run = "; dry_run=true shows the plan and starts nothing" if has_dry_run(root) else ""
    header, more = _root_.hydra.help.header, _format_hints(root)
    text = (COMPLETE_HELP if complete else SHORT_HELP).format(
        header=header, groups=groups, fields=fields, more=more, dry_run=dry_run
    )
    return text.replace("$", "$$")


def _format_groups(config: DictConfig, folder: str) -> str:
    """Return the groups of the defaults list with their options, without the groups of other programs."""
    loader: Any = GlobalHydra.instance().config_loader()
    groups = sorted(group for group in config.hydra.runtime.choices if not group.startswith("hydra/"))
    lines = (f"{group}: {', '.join(group_options(loader.repository, group.partition('@')[0]))}" for group in groups)
    return GROUPS_HELP.format(groups="\n".join(lines), folder=folder) if groups else ""


def _format_hints(root: type[Checked]) -> str:
    """Return the hints at other options. The example of a section is the one with the most keys."""
    sections = {field.name: len([*keys_of(section_classes(field)[0])]) for field in fields_of(root) if section_classes(field)}
    one = f" --help {max(sections, key=lambda name: sections[name])}: its keys;" if sections else ""
    dry_run = "dry_run=true: plan; " * has_dry_run(root)
    text = (
        f"--help all: every key;{one} -m: a sweep over a=1,2; {dry_run}--cfg job: config; -v: verbose; -q: quiet; --hydra-help."
    )
    return textwrap.fill(text, 80, break_on_hyphens=False, break_long_words=False)


def often_set_keys(root: type[Checked]) -> list[str]:
    """Return the keys of the short help: those in ``HELP_SUMMARY``, and all that a derived class adds."""
    named = next(each for each in root.__mro__ if "HELP_SUMMARY" in vars(each))
    known = set(keys_of(named))
    return [*root.HELP_SUMMARY, *(key for key in keys_of(root) if key not in known)]


def has_dry_run(root: type[Checked]) -> bool:
    """Whether the configuration class has the field ``dry_run``."""
    return field_at(root, "dry_run") is not None


def _format_topic(root: type[Checked], config: DictConfig, key: str) -> Iterator[str]:
    field = field_at(root, key)
    if field is not None and section_classes(field):
        yield from _format_section(field, OmegaConf.select(config, key), key)
    else:
        yield _format_key(root, config, key)


def _format_fields(config_class: type[Any], config: DictConfig, prefix: str) -> Iterator[str]:
    """Yield a line for every key of a composed config, section by section."""
    for field in sorted(fields_of(config_class), key=lambda field: bool(section_classes(field))):
        key = f"{prefix}{field.name}"
        if section_classes(field):
            yield from _format_section(field, config.get(field.name) if field.name in config else None, key)
        elif field.name in config or field.name not in TARGET_KEYS:
            yield _format_field(key, field, _format_value(config, field))


def _format_section(field: dataclasses.Field[Any], config: Any, key: str) -> Iterator[str]:
    """Yield a section's meaning and keys; for a union, the keys of the chosen class, else of all."""
    chosen, variants = field.metadata.get("discriminator"), field.metadata.get("variants", {})
    variants_hint = f"{chosen} is one of {', '.join(map(str, variants))}" if chosen else ""
    yield f"\n{key}: {'; '.join(filter(None, (field.metadata['doc'], variants_hint)))}".rstrip()
    if not OmegaConf.is_dict(config):
        yield f"  {key}={format_value(config)}"
        return
    classes = section_classes(field)
    if chosen:
        classes = tuple(each for value, each in variants.items() if value == config.get(chosen)) or classes
    for nested in classes:
        yield from _format_fields(nested, config, f"{key}.")


def _format_key(root: type[Checked], config: DictConfig, key: str, *, brief: bool = False) -> str:
    field, parent = field_at(root, key), key.rpartition(".")[0]
    assert field is not None
    within = OmegaConf.select(config, parent) if parent else config
    return _format_field(
        key, field, _format_value(within, field) if OmegaConf.is_dict(within) else format_value(within), brief=brief
    )


def _format_field(key: str, field: dataclasses.Field[Any], value: str, *, brief: bool = False) -> str:
    """Return ``key=value``, its meaning and its rule; if ``brief``, only the first part of the meaning."""
    rule = f"; {field.metadata['rule']}" if "rule" in field.metadata else "; computed, cannot be set"
    doc = field.metadata["doc"].partition(";")[0] if brief else field.metadata["doc"] + rule
    column = MEANING_COLUMN - 14 if brief else MEANING_COLUMN
    width = max(shutil.get_terminal_size((80 if brief else 120, 0)).columns, 2 * column)
    head = f"  {f'{key}={value}':<{column - 3}} "
    return textwrap.fill(doc, width, initial_indent=head, subsequent_indent=" " * column, break_on_hyphens=False)


def _format_value(config: DictConfig, field: dataclasses.Field[Any]) -> str:
    """Return the value in a composed config, or the default if it has none."""
    try:
        value: Any = config[field.name] if field.name in config else default_of(field)
    except Exception:  # missing, or it cannot be resolved: show it as written
        value = OmegaConf.to_container(config, resolve=False)[field.name]  # type: ignore[index, call-overload]
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, resolve=False)
    return "???" if value is ABSENT else format_value(thaw(value), 40)
