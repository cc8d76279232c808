"""Convert errors of Hydra, OmegaConf and YAML to violations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import yaml
from hydra.errors import MissingConfigException
from omegaconf.errors import GrammarParseError, UnsupportedValueType
from yaml import MarkedYAMLError
from yaml.constructor import ConstructorError

from gpt2hydra.composition.hydra_compat import duplicate_group, grammar_reason, has_too_many_digits, unquoted_sign, wrong_header
from gpt2hydra.composition.layers import display_path
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.utils.formatting import closest, error_reason


def unknown_error_violation(error: Exception) -> Violation:
    """Return the violation of an error for which there is no better message."""
    if isinstance(error, ConfigError):
        return error.violations[0]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = f": {error.__cause__}" if error.__cause__ is not None else ""
    return Violation("the configuration", rule="; ".join(lines[:3]) + cause.replace("\n", "; ") or type(error).__name__)


def file_violation(error: Exception, name: str = "the defaults list") -> Violation:
    """Return the violation of an error in a YAML file, which is ``name`` if the error does not name one."""
    if isinstance(error, MissingConfigException):
        first = error_reason(error)
        options = f"; options: {', '.join(error.options)}" if error.options else ""
        near = closest((error.missing_cfg_file or "").rsplit("/", 1)[-1], error.options or ())
        return Violation(
            error.missing_cfg_file or name, rule=f"{first.rstrip('.')}{options}" + (f"; did you mean {near}?" if near else "")
        )
    if isinstance(error, RecursionError):
        return Violation(name, rule="has a defaults list that includes itself")
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        return _yaml_violation(error, error.problem_mark.name)
    if isinstance(error, GrammarParseError) and error.full_key:
        return Violation(error.full_key, rule=f"has a ${{...}} that cannot be read: {error_reason(error)}")
    if isinstance(error, UnsupportedValueType) and error.full_key:  # !!set, !!timestamp
        return Violation(error.full_key, rule=f"is of a type that no config can have: {error_reason(error)}")
    if header := wrong_header(error):
        return Violation(name, rule=f"has the line '# {header}'; Hydra reads '# @package NAME', such as '# @package _global_'")
    if twice := duplicate_group(error):
        return Violation(name, rule=f"chooses {twice} a second time; write 'override /{twice}: OPTION' in its defaults list")
    lines = [line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()]
    return Violation(name, rule="; ".join(lines) or type(error).__name__)


def _yaml_violation(error: MarkedYAMLError, path: str) -> Violation:
    """Return the violation of a file that is not YAML, with the message of PyYAML's pure-Python parser.

    Some versions of OmegaConf use libyaml, whose messages are shorter.
    """
    if isinstance(error, ConstructorError):  # valid YAML that cannot be a config: a duplicate key
        rule = str(error.problem)
    else:
        try:
            with open(path, encoding="utf-8") as file:
                yaml.compose(file, Loader=yaml.SafeLoader)
        except MarkedYAMLError as located:
            error = located
        except OSError:  # it was deleted meanwhile
            pass
        rule = f"is not YAML: {_CLEARER.get(str(error.problem), error.problem)}"
        if "'\\t'" in rule:
            rule = "has a tab in its indentation; YAML takes spaces only"
    line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
    return Violation(f"{display_path(path)}:{line}", rule=rule)


_CLEARER = {
    "second occurrence": "the anchor (&name) in this line is a duplicate",
    "but found another document": "a second document begins with this line",
}
"""Messages of PyYAML that cannot be understood without its first sentence → a better message."""


def grammar_rule(error: Exception) -> str:
    """Return the rule that an override breaks for Hydra's parser or for Python."""
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
    """Context manager: an error in resolving a reference becomes a violation of ``key``."""
    try:
        yield
    except Exception as error:  # resolvers may raise anything
        raise ConfigError([Violation(key, written, f"cannot be resolved: {error_reason(error)}")]) from error


@contextmanager
def instantiating(key: str, what: str) -> Iterator[None]:
    """Context manager: an error in making objects of Hydra's section ``key`` becomes a violation of ``key``."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # classes of a user may raise anything
        raise ConfigError([Violation(key, rule=f"{what}: {error_reason(error.__cause__ or error)}")]) from error
