"""Errors of Hydra, OmegaConf and YAML in the words of a report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import yaml
from hydra.errors import MissingConfigException
from omegaconf.errors import GrammarParseError, UnsupportedValueType
from yaml import MarkedYAMLError
from yaml.constructor import ConstructorError

from gpt2hydra.composition.hydra_compat import chosen_twice, grammar_reason, has_too_many_digits, unquoted_sign, wrong_header
from gpt2hydra.composition.layers import displayed
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.utils.formatting import closest, reason_of


def unexplained(error: Exception) -> Violation:
    """An error that the diagnosis has no better words for."""
    if isinstance(error, ConfigError):
        return error.violations[0]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = f": {error.__cause__}" if error.__cause__ is not None else ""
    return Violation("the configuration", rule="; ".join(lines[:3]) + cause.replace("\n", "; ") or type(error).__name__)


def file_error(error: Exception, name: str = "the defaults list") -> Violation:
    """An error in a YAML file, ``name`` where nothing tells which, or in what it refers to."""
    if isinstance(error, MissingConfigException):
        first = reason_of(error)
        options = f"; options: {', '.join(error.options)}" if error.options else ""
        near = closest((error.missing_cfg_file or "").rsplit("/", 1)[-1], error.options or ())
        return Violation(
            error.missing_cfg_file or name, rule=f"{first.rstrip('.')}{options}" + (f"; did you mean {near}?" if near else "")
        )
    if isinstance(error, RecursionError):
        return Violation(name, rule="has a defaults list that leads back to itself")
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        return _no_yaml(error, error.problem_mark.name)
    if isinstance(error, GrammarParseError) and error.full_key:
        return Violation(error.full_key, rule=f"has a ${{...}} that cannot be read: {reason_of(error)}")
    if isinstance(error, UnsupportedValueType) and error.full_key:  # !!set, !!timestamp
        return Violation(error.full_key, rule=f"is of a kind that no config has: {reason_of(error)}")
    if header := wrong_header(error):
        return Violation(name, rule=f"has the line '# {header}'; Hydra reads '# @package NAME', such as '# @package _global_'")
    if twice := chosen_twice(error):
        return Violation(name, rule=f"chooses {twice} a second time; write 'override /{twice}: OPTION' in its defaults list")
    lines = [line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()]
    return Violation(name, rule="; ".join(lines) or type(error).__name__)


def _no_yaml(error: MarkedYAMLError, path: str) -> Violation:
    """The violation of a file that is not YAML, in the words of PyYAML's parser in Python.

    Some versions of OmegaConf read with the parser in C, which says less.
    """
    if isinstance(error, ConstructorError):  # it is YAML, but cannot be a config: a key stands there twice
        rule = str(error.problem)
    else:
        try:
            with open(path, encoding="utf-8") as file:
                yaml.compose(file, Loader=yaml.SafeLoader)
        except MarkedYAMLError as located:
            error = located
        except OSError:  # it is gone since
            pass
        rule = f"is not YAML: {_PLAINER.get(str(error.problem), error.problem)}"
        if "'\\t'" in rule:
            rule = "has a tab in its indentation; YAML takes spaces only"
    line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
    return Violation(f"{displayed(path)}:{line}", rule=rule)


_PLAINER = {
    "second occurrence": "the anchor (&name) in this line is there already",
    "but found another document": "a second document begins with this line",
}
"""What PyYAML says, where it makes no sense without the sentence before."""


def grammar(error: Exception) -> str:
    """What Hydra's parser, or Python, could not make of an override."""
    if has_too_many_digits(error):
        return "has too many digits"
    sign = unquoted_sign(error)
    if sign.isspace():
        return "has a space next to its key"
    if sign:
        return f"contains the character {sign}; put the value in quotes"
    return f"is not an override that Hydra can read ({grammar_reason(error)})"


@contextmanager
def resolving(key: str, written: object) -> Iterator[None]:
    """Within, a reference that cannot be resolved is a violation of ``key``."""
    try:
        yield
    except Exception as error:  # resolvers raise what they like
        raise ConfigError([Violation(key, written, f"cannot be resolved: {reason_of(error)}")]) from error


@contextmanager
def making(key: str, what: str) -> Iterator[None]:
    """Within, a callback, launcher or log that Hydra cannot make is a violation of its own ``key``."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # classes that a user names raise what they like
        raise ConfigError([Violation(key, rule=f"{what}: {reason_of(error.__cause__ or error)}")]) from error
