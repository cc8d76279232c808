"""Private names of Hydra and OmegaConf that this package uses, and the differences between Hydra 1.3 and 1.4.

Those that find, load and merge configs are in :mod:`.hydra_loader`. No other module uses such a name;
``tests/test_house.py`` checks this. Each has a docstring: what it does, since which version it exists, and
which public name could replace it ('Public: none' if there is none). Hydra is called, never patched. To
support another version of Hydra, only these two modules must change.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, ValuesView
from typing import Any, TypeGuard

import hydra.utils
from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import (
    detect_calling_file_or_module_from_task_function,
    detect_task_name,
    get_args_parser,
    run_and_report,
)
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, Node, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from gpt2hydra.utils.formatting import error_reason

HYDRA = tuple(int(part) for part in hydra.__version__.split(".")[:2])
"""``(1, 3)`` or ``(1, 4)``: the version of Hydra that runs."""

VERSION_BASE = "1.3"
"""The behaviour of Hydra that this package needs. Hydra 1.4 has no other and deprecates ``version_base``."""

SETS_THROUGH_REFERENCES = HYDRA >= (1, 4)
"""Whether ``copied.lr=1`` sets ``opt.lr`` if ``copied`` is ``${opt}``: since OmegaConf 2.4.

Before, ``copied`` became a separate section.
"""


MODE_BEFORE_COMPOSING = HYDRA >= (1, 4)
"""Whether only the command line and the primary config may set ``hydra.mode``: since Hydra 1.4.

Before, any file could ask for a sweep.
"""


# ------------------------------------------------------------------------------------ names that Hydra 1.4 has changed


def set_version_base() -> None:
    """``hydra.version.setbase``, 1.2 to 1.3.

    Public: ``version_base=`` of ``hydra.main``, only for programs.
    """
    if HYDRA < (1, 4):
        version.setbase(VERSION_BASE)


def register_resolver(name: str, function: Callable[..., Any]) -> None:
    """Register or replace a resolver. Public: ``register_new_resolver``, from 2.4 ``register_resolver``."""
    register: Any = OmegaConf.register_new_resolver if HYDRA < (1, 4) else OmegaConf.register_resolver
    register(name, function, replace=True)


def store_config(name: str, node: Any, group: str | None = None) -> None:
    """Store or replace a node in the ConfigStore. Public; Hydra 1.4 warns without ``replace=True``."""
    replace: dict[str, Any] = {"replace": True} if HYDRA >= (1, 4) else {}
    ConfigStore.instance().store(name=name, node=node, group=group, provider="gpt2hydra", **replace)


# ------------------------------------------------------------------------------------------------------ a program


def make_arguments_parser() -> argparse.ArgumentParser:
    """Return Hydra's parser, but without abbreviations: ``--experiment`` is not ``--experimental-rerun``.

    ``get_args_parser``, since 1.0. Public: none.
    """
    parser = get_args_parser()
    parser.allow_abbrev = False
    return parser


def make_hydra(function: Callable[..., Any], loader: ConfigLoader) -> Any:
    """Return the Hydra of a program, for ``GlobalHydra``, which launchers and callbacks use.

    ``Hydra`` and its two functions for the name of the task, since 1.0. Public: none.
    """
    return Hydra(detect_task_name(*detect_calling_file_or_module_from_task_function(function)), loader)


def make_callbacks(composed: DictConfig) -> Callbacks:
    """Make the callbacks of ``hydra.callbacks``. ``Callbacks``, since 1.1. Public: none.

    Hydra 1.4 needs a whitelist of the classes that a config may name. It is made from the config, because a
    user's own config is trusted like code.
    """
    with contextlib.ExitStack() as stack:
        if HYDRA >= (1, 4):
            named = OmegaConf.to_container(composed.hydra.callbacks, resolve=True)
            utils: Any = hydra.utils
            stack.enter_context(utils.execution_whitelist([*_targets(named)]))
        return Callbacks(composed)


def _targets(values: Any) -> Iterator[str]:
    if isinstance(values, Mapping):
        if isinstance(values.get("_target_"), str):
            yield values["_target_"]
        values = values.values()
    if isinstance(values, (list, ValuesView)):
        for value in values:
            yield from _targets(value)


def print_information(hydra: Any, options: argparse.Namespace, parser: argparse.ArgumentParser, config_name: str) -> None:
    """Print the output of ``--hydra-help``, ``--cfg``, ``--info`` or ``--shell-completion``; raise errors.

    Methods of ``Hydra``, since 1.0. Public: ``hydra.main``, which parses the arguments itself.
    """
    if options.hydra_help:
        hydra.hydra_help(config_name=config_name, args_parser=parser, args=options)
    elif options.cfg:
        overrides, package, resolve = options.overrides, options.package, options.resolve
        hydra.show_cfg(config_name, overrides, cfg_type=options.cfg, package=package, resolve=resolve)
    elif options.info:
        hydra.show_info(options.info, config_name=config_name, overrides=options.overrides)
    else:
        hydra.shell_completion(config_name=config_name, overrides=options.overrides)


def help_text(hydra: Any, config: DictConfig, parser: argparse.ArgumentParser, resolve: bool) -> str:
    """Return the text of ``--help`` by ``hydra.help``. ``Hydra.get_help``, since 1.0. Public: none."""
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    return str(hydra.get_help(config.hydra.help, own, parser, resolve=resolve))


def report_as_hydra(function: Callable[[], Any]) -> Any:
    """Call ``function``; print an error of user code as Hydra does.

    ``run_and_report``, since 1.0. Public: none.
    """
    return run_and_report(function)


def job_error(result: JobReturn) -> object:
    """Return the error of a job, or None. ``JobReturn._return_value``, since 1.0.

    Public: ``return_value``, which prints before it raises.
    """
    return result._return_value if result.status is JobStatus.FAILED else None


def with_value(override: Override, value: int, text: str) -> Override:
    """Return the override with another value, typed as ``text``.

    ``Override._value``, since 1.0. Public: none.
    """
    return dataclasses.replace(override, _value=value, input_line=text)


# ------------------------------------------------------------------------- errors recognised only by their text


def grammar_reason(error: Exception) -> str:
    """Return the message of Hydra's parser without the list of expected tokens."""
    return error_reason(error).partition(" expecting ")[0]


def has_too_many_digits(error: Exception) -> bool:
    """Return whether a number has more digits than Python accepts."""
    return isinstance(error, ValueError) and "digits" in str(error)


def unquoted_sign(error: Exception) -> str:
    """Return the character that Hydra's grammar accepts only in quotes; empty for another error."""
    sign = re.match(r"token recognition error at: '(.)", error_reason(error))
    return sign[1] if sign else ""


def wrong_header(error: Exception) -> str:
    """Return the ``# @package`` line that Hydra cannot read; empty for another error."""
    found = re.match(r"(?:Expected header format: KEY VALUE, got|Too many components in) '(.*)'$", str(error))
    return found[1] if found else ""


def duplicate_group(error: Exception) -> str:
    """Return the group that a defaults list has twice; empty for another error."""
    found = re.match(r"(\S+) appears more than once in the final defaults list", str(error))
    return found[1] if found else ""


def refers_to_itself(error: Exception) -> bool:
    """Return whether a reference refers to itself, maybe through others."""
    return isinstance(error, RecursionError) or "Recursive interpolation" in str(error)


def is_missing_variable(error: Exception) -> bool:
    """Return whether ``${oc.env:NAME}`` names a missing environment variable."""
    return isinstance(error, InterpolationResolutionError) and "Environment variable" in str(error)


# -------------------------------------------------------------------------------------------------- nodes and YAML


def raw_value(node: Node) -> Any:
    """Return the raw content of a node: dict, list, value, ``${...}``, ``???``. ``Node._value``, since 2.1.

    Public: ``OmegaConf.to_container(resolve=False)`` of its parent, which copies all of the parent.
    """
    return node._value()


def is_mapping(node: Node | None) -> TypeGuard[DictConfig]:
    """Return whether a node is a mapping with keys: not a value, ``???``, null or an interpolation."""
    return isinstance(node, DictConfig) and isinstance(node._value(), dict)


def node_at(parent: Any, key: Any) -> Node:
    """Return the node of ``key``, not its value. ``_get_node``, since 2.0. Public: none."""
    node: Node = parent._get_node(key)
    return node


def full_key(config: DictConfig) -> str:
    """Return the key of a config in its root. ``Node._get_full_key``, since 2.0. Public: none."""
    return config._get_full_key(None)


def root_of(config: DictConfig) -> DictConfig:
    """Return the root that a config is a part of. ``Node._get_root``, since 2.0. Public: none."""
    root: DictConfig = config._get_root()  # type: ignore[assignment]
    return root


def declared_types(config: DictConfig) -> tuple[Any, Any]:
    """Return the declared classes of a mapping and of its values.

    ``Node._metadata``, since 2.1. Public: none.
    """
    return config._metadata.ref_type, config._metadata.element_type
