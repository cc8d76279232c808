"""What ``--help`` says of every field: its value as composed, its meaning and its rule, from where the field is declared."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from collections.abc import Iterator
from importlib import resources
from typing import Any

from omegaconf import DictConfig, OmegaConf, read_write

from gpt2hydra.composition.gate import config_class_of
from gpt2hydra.composition.hydra_internals import register_resolver
from gpt2hydra.config.checked import Checked
from gpt2hydra.config.keys import fields_of
from gpt2hydra.config.words import show

COLUMN = 46
"""Where the meanings begin."""

TEMPLATE = """\
{header}
{groups}
Values, as key=value; ${{other.key}} refers to another:

{fields}

-m sweeps over a=1,2 or group=x,y, all of it checked before the first job; dry_run=true shows the plan and starts nothing.
--cfg job --resolve prints the config, --config-dir adds a folder of yours, --hydra-help tells the rest.
"""


GROUPS = """
Groups, of each one option, as group=option; the files are in conf/:

$APP_CONFIG_GROUPS
"""


def use_our_help(config: DictConfig) -> None:
    """Let a composed config's ``hydra.help.template`` be ours, which is also ``${gpt2.help:}``, where it is still Hydra's.

    So is its header, then: what the docstring of the configuration class begins with.
    """
    register_resolver("gpt2.help", _template)
    file = str(resources.files("hydra.conf").joinpath("hydra/help/default.yaml"))
    hydras: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    written: Any = OmegaConf.to_container(config.hydra.help, resolve=False)
    with read_write(config.hydra.help):
        if written["template"] == hydras["template"]:
            config.hydra.help.template = "${gpt2.help:}"
        if written["header"] == hydras["header"]:
            config.hydra.help.header = (inspect.getdoc(config_class_of(config)) or "").partition("\n")[0]


def _template(*, _root_: DictConfig) -> str:
    """A text in which Hydra replaces ``$APP_CONFIG_GROUPS``."""
    groups = GROUPS if any(not group.startswith("hydra/") for group in _root_.hydra.runtime.choices) else ""
    text = TEMPLATE.format(header=_root_.hydra.help.header, groups=groups, fields=fields_help(_root_))
    return text.replace("$", "$$").replace("$$APP_CONFIG_GROUPS", "$APP_CONFIG_GROUPS")


def fields_help(config: DictConfig) -> str:
    """Every key of a composed config, section by section."""
    return "\n".join(_section(config_class_of(config), config, ""))


def _section(config_class: type[Checked], config: DictConfig, prefix: str) -> Iterator[str]:
    fields = sorted(fields_of(config_class), key=lambda field: "section" in field.metadata)
    for field in fields:
        key, doc = f"{prefix}{field.name}", field.metadata["doc"]
        if "section" in field.metadata:
            yield f"\n{key}: {doc}"
            yield from _section(field.metadata["section"], config[field.name], f"{key}.")
        else:
            rule = f"; {field.metadata['rule']}" if "rule" in field.metadata else "; computed, cannot be set"
            head = f"  {f'{key}={_value(config, field.name)}':<{COLUMN - 4}}  "
            width = max(shutil.get_terminal_size((120, 0)).columns, 2 * COLUMN)
            yield textwrap.fill(doc + rule, width, initial_indent=head, subsequent_indent=" " * COLUMN, break_on_hyphens=False)


def _value(config: DictConfig, name: str) -> str:
    try:
        value: Any = config[name]
    except Exception:  # not given, or it cannot be resolved: as it was written
        value = OmegaConf.to_container(config, resolve=False)[name]  # type: ignore[index, call-overload]
    return show(value, 40)
