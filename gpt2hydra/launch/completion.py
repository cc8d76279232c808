"""Shell completion of overrides and options."""

from __future__ import annotations

import argparse
import itertools
import os
import re
from collections.abc import Iterator, Sequence

from hydra.conf import HydraConf
from omegaconf import OmegaConf

from gpt2hydra.composition.composer import Composer
from gpt2hydra.config.keys import keys_of, rule_at
from gpt2hydra.config.validation import Checked

# -------------------------------------------------------------------------------------------- what a program prints


def words_before_cursor() -> list[str]:
    """Read the words before the cursor from ``COMP_LINE`` and ``COMP_POINT``; the last is to be completed."""
    line, point = os.environ.get("COMP_LINE", ""), os.environ.get("COMP_POINT", "")
    return re.split(r"\s+", line[: int(point)] if point.isdecimal() else line)


def option_value_before_cursor(*names: str) -> str | None:
    """Return the value that follows one of these options before the cursor; None if there is none."""
    words = words_before_cursor()
    return next((value for name, value in itertools.pairwise(words[:-1]) if name in names), None)


def complete(composer: Composer, config_class: type[Checked], parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the possible completions of the word at the cursor."""
    *before, word = words_before_cursor()
    options = dict(re.findall(r"(--?[\w-]+) \{([\w,-]+)\}", parser.format_usage()))
    if before and before[-1] in options:
        found: Sequence[str] = options[before[-1]].split(",")
    elif word.startswith("-"):
        found = option_strings(parser)
    else:
        found = list(complete_override(composer, config_class, word))
    quote = word[:1] if word[:1] in ("'", '"') else ""
    yield from dict.fromkeys(each for each in found if each.startswith(word[len(quote) :]))


def option_strings(parser: argparse.ArgumentParser) -> list[str]:
    """Return the options of a program, such as ``--help`` and ``--cfg``."""
    return re.findall(r"(?<![\w-])--?[a-z][\w-]*", parser.format_usage())


def complete_override(composer: Composer, config_class: type[Checked], word: str) -> Iterator[str]:
    """Yield the overrides that ``word`` can become: with the next part of its key, or an allowed value."""
    sign, key, equals, value = re.fullmatch(r"['\"]?([+~]*)([^=]*)(=?)(.*)", word, re.DOTALL).groups()  # type: ignore[union-attr]
    if equals:
        chosen = value[: value.rfind(",") + 1]  # earlier values of a sweep
        yield from (f"{sign}{key}={chosen}{each}" for each in _list_values(composer, config_class, key))
        return
    end = "" if sign == "~" else "="
    for group in _list_groups(composer, key):
        yield f"{sign}{group}{end}"
    for name in _hydra_keys() if key.startswith("hydra.") else ["hydra.", *keys_of(config_class)]:
        if name.startswith(key):
            dot = name.find(".", len(key)) + 1
            yield sign + (name[:dot] if dot else f"{name}{end}")


def _list_groups(composer: Composer, key: str) -> list[str]:
    if key.startswith("hydra/"):
        return [f"hydra/{group}" for group in composer.loader.list_groups("hydra")]
    return composer.options.groups()


def _list_values(composer: Composer, config_class: type[Checked], key: str) -> list[str]:
    options = composer.options.of(key.partition("@")[0])
    rule = rule_at(config_class, key)
    if options or rule is None:
        return options
    if rule.kind is str and not rule.choices:
        return []  # free text: the shell suggests files
    return [*(("true", "false") if rule.kind is bool else rule.choices), *(["null"] if rule.optional else [])]


def _hydra_keys(values: object = None, prefix: str = "hydra") -> Iterator[str]:
    """Yield the keys of Hydra's own config."""
    values = OmegaConf.to_container(OmegaConf.structured(HydraConf)) if values is None else values
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from _hydra_keys(value if value is not None else "", f"{prefix}.{key}")
    else:
        yield prefix
