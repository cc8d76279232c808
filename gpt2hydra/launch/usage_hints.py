"""Slips on a command line, and the command that was meant: ``model=large`` where ``--model large`` is typed."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.keys import rule_at
from gpt2hydra.config.unknown_keys import key_meant
from gpt2hydra.config.validation import Checked
from gpt2hydra.launch.application import PROGRAMS
from gpt2hydra.utils.formatting import closest, did_you_mean
from gpt2hydra.utils.quoting import for_bash


def no_command(words: Sequence[str], commands: Collection[str]) -> str:
    """What is said of ``gpt2hydra train model=large``, and of ``gpt2hydra sice``."""
    name, *rest = words
    near = closest(name, [*commands, *PROGRAMS])
    if near in PROGRAMS:
        return f"{near} is a program of its own{_try(program(near), rest)}"
    return f"there is no command {name}" + (did_you_mean(name, commands) or f"; known: {', '.join(commands)}")


def program(name: str) -> str:
    """How ``train`` or ``generate`` is started from the current directory."""
    return f"python {name}.py" if Path().samefile(CONF_DIR.parent) else f"gpt2hydra-{name}"


def no_option(
    words: Sequence[str], unknown: Iterable[str], options: Iterable[str], config_class: type[Checked], groups: Sequence[str]
) -> str:
    """What is said of the ``unknown`` words of a command line, of which one at least begins with a dash and is no option."""
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
    command = _try(_started(), meant) if all(meant) else ""
    return f"there is no option {option}{near or '; values are set without dashes, as key=value'}{command}"


def _key(word: str) -> str:
    """The key that ``--dry-run`` or ``--training.max_steps=5`` spells."""
    return word.lstrip("-").partition("=")[0].replace("-", "_")


def _key_meant(word: str, config_class: type[Checked], groups: Sequence[str]) -> str | None:
    key = _key(word)
    return key if key.startswith(("hydra.", "hydra/")) else key_meant(config_class, key, groups)


def _without_dashes(words: Sequence[str], keys: Mapping[str, str | None], config_class: type[Checked]) -> Iterator[str]:
    """``words`` with an override for each that ``keys`` has a key for, and nothing where it lacks a key or a value."""
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


def _try(program: str, words: Iterable[str]) -> str:
    return f"\n  try: {' '.join([program, *map(for_bash, words)])}"


def _started() -> str:
    """How this program was started: ``python train.py``, ``python -m my_package.finetune``, ``gpt2hydra-train``."""
    file, spec = sys.argv[0], getattr(sys.modules["__main__"], "__spec__", None)
    python = Path(sys.executable).name
    if spec is not None and spec.origin == file:
        return f"{python} -m {spec.name.removesuffix('.__main__')}"
    return f"{python} {for_bash(file)}" if file.endswith(".py") else for_bash(Path(file).name)
