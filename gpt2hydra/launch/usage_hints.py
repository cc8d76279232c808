"""Hints for wrong commands and options: suggest ``model=large`` for ``--model large``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from gpt2hydra.config.keys import rule_at
from gpt2hydra.config.validation import Checked
from gpt2hydra.config.wrong_keys import guess_key
from gpt2hydra.utils.formatting import closest, did_you_mean
from gpt2hydra.utils.invocation import PROGRAMS, Program, find_program, this_program
from gpt2hydra.utils.quoting import quote_for_bash


def unknown_command_message(words: Sequence[str], commands: Collection[str]) -> str:
    """Return the message for ``gpt2hydra train model=large``, or for ``gpt2hydra sice``."""
    name, *rest = words
    near = closest(name, [*commands, *PROGRAMS])
    if near in PROGRAMS:
        return f"{near} is a separate program{_suggestion(find_program(near), rest)}"
    return f"there is no command {name}" + (did_you_mean(name, commands) or f"; known: {', '.join(commands)}")


def unknown_option_message(
    words: Sequence[str], unknown: Iterable[str], options: Iterable[str], config_class: type[Checked], groups: Sequence[str]
) -> str:
    """Return the message for the ``unknown`` words of a command line; at least one begins with a dash."""
    keys = {word: _guess_key(word, config_class, groups) for word in unknown if word.startswith("-")}
    word, key = next(iter(keys.items()))
    option = word.partition("=")[0]
    if key is None:
        near = did_you_mean(option, options)
    elif key == _spelled_key(word):
        near = ""
    else:
        near = f"; did you mean {key}?"
    corrected = [*_without_dashes(words, keys, config_class)]
    command = _suggestion(this_program(), corrected) if all(corrected) else ""
    return f"there is no option {option}{near or '; values are set without dashes, as key=value'}{command}"


def _spelled_key(word: str) -> str:
    """Return the key that an option spells: ``--dry-run`` or ``--training.max_steps=5``."""
    return word.lstrip("-").partition("=")[0].replace("-", "_")


def _guess_key(word: str, config_class: type[Checked], groups: Sequence[str]) -> str | None:
    key = _spelled_key(word)
    return key if key.startswith(("hydra.", "hydra/")) else guess_key(config_class, key, groups)


def _without_dashes(words: Sequence[str], keys: Mapping[str, str | None], config_class: type[Checked]) -> Iterator[str]:
    """Yield ``words`` with an override for each word in ``keys``; "" if key or value is unknown."""
    rest = [*words]
    while rest:
        word = rest.pop(0)
        if word not in keys:
            yield word
            continue
        key, (_, equals, value) = keys[word], word.partition("=")
        if not equals and rest and "=" not in rest[0] and not rest[0].startswith("-"):
            equals, value = "=", rest.pop(0)
        elif not equals and key and _is_flag(config_class, key):
            equals, value = "=", "true"
        yield f"{key}={value}" if key and equals else ""


def _is_flag(config_class: type[Checked], key: str) -> bool:
    rule = rule_at(config_class, key)
    return rule is not None and rule.kind is bool


def _suggestion(program: Program, words: Iterable[str]) -> str:
    return f"\n  try: {' '.join([program.current_command(), *map(quote_for_bash, words)])}"
