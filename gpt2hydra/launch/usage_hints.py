"""Mistakes on a command line, and what was meant: ``model=large`` where ``--model large`` is typed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from gpt2hydra.config.keys import rule_at
from gpt2hydra.config.validation import Checked
from gpt2hydra.config.wrong_keys import key_meant
from gpt2hydra.utils.formatting import closest, did_you_mean
from gpt2hydra.utils.invocation import PROGRAMS, Program, our_program, this_program
from gpt2hydra.utils.quoting import for_bash


def no_command(words: Sequence[str], commands: Collection[str]) -> str:
    """The message for ``gpt2hydra train model=large``, and for ``gpt2hydra sice``."""
    name, *rest = words
    near = closest(name, [*commands, *PROGRAMS])
    if near in PROGRAMS:
        return f"{near} is a program of its own{_try(our_program(near), rest)}"
    return f"there is no command {name}" + (did_you_mean(name, commands) or f"; known: {', '.join(commands)}")


def no_option(
    words: Sequence[str], unknown: Iterable[str], options: Iterable[str], config_class: type[Checked], groups: Sequence[str]
) -> str:
    """The message for the ``unknown`` words of a command line, one of which at least begins with a dash."""
    keys = {word: _key_meant(word, config_class, groups) for word in unknown if word.startswith("-")}
    word, key = next(iter(keys.items()))
    option = word.partition("=")[0]
    if key is None:
        near = did_you_mean(option, options)
    elif key == _key(word):
        near = ""
    else:
        near = f"; did you mean {key}?"
    meant = [*_without_dashes(words, keys, config_class)]
    command = _try(this_program(), meant) if all(meant) else ""
    return f"there is no option {option}{near or '; values are set without dashes, as key=value'}{command}"


def _key(word: str) -> str:
    """The key that ``--dry-run`` or ``--training.max_steps=5`` spells."""
    return word.lstrip("-").partition("=")[0].replace("-", "_")


def _key_meant(word: str, config_class: type[Checked], groups: Sequence[str]) -> str | None:
    key = _key(word)
    return key if key.startswith(("hydra.", "hydra/")) else key_meant(config_class, key, groups)


def _without_dashes(words: Sequence[str], keys: Mapping[str, str | None], config_class: type[Checked]) -> Iterator[str]:
    """``words`` with an override for each that is in ``keys``; empty text where it lacks a key or a value."""
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


def _try(program: Program, words: Iterable[str]) -> str:
    return f"\n  try: {' '.join([program.as_started(), *map(for_bash, words)])}"
