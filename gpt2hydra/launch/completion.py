"""Shell completion: what may come next on the command line of a program."""

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

# -------------------------------------------------------------------------------------------- what a program answers


def typed() -> list[str]:
    """The words before the cursor, from the shell's ``COMP_LINE`` and ``COMP_POINT``; the last is to be completed."""
    line, point = os.environ.get("COMP_LINE", ""), os.environ.get("COMP_POINT", "")
    return re.split(r"\s+", line[: int(point)] if point.isdecimal() else line)


def option_before_cursor(*names: str) -> str | None:
    """The value that is typed behind an option."""
    words = typed()
    return next((value for name, value in itertools.pairwise(words[:-1]) if name in names), None)


def answer(composer: Composer, config_class: type[Checked], parser: argparse.ArgumentParser) -> Iterator[str]:
    """What may stand in place of the word at the cursor."""
    *before, word = typed()
    options = dict(re.findall(r"(--?[\w-]+) \{([\w,-]+)\}", parser.format_usage()))
    if before and before[-1] in options:
        found: Sequence[str] = options[before[-1]].split(",")
    elif word.startswith("-"):
        found = options_of(parser)
    else:
        found = list(overrides(composer, config_class, word))
    quote = word[:1] if word[:1] in ("'", '"') else ""
    yield from dict.fromkeys(each for each in found if each.startswith(word[len(quote) :]))


def options_of(parser: argparse.ArgumentParser) -> list[str]:
    """The options of a program: ``--help``, ``--cfg``."""
    return re.findall(r"(?<![\w-])--?[a-z][\w-]*", parser.format_usage())


def overrides(composer: Composer, config_class: type[Checked], word: str) -> Iterator[str]:
    """Overrides that ``word`` may become: the next part of a key, or one of a few values."""
    sign, key, equals, value = re.fullmatch(r"['\"]?([+~]*)([^=]*)(=?)(.*)", word, re.DOTALL).groups()  # type: ignore[union-attr]
    if equals:
        chosen = value[: value.rfind(",") + 1]  # of a sweep
        yield from (f"{sign}{key}={chosen}{each}" for each in _values(composer, config_class, key))
        return
    end = "" if sign == "~" else "="
    for group in _groups(composer, key):
        yield f"{sign}{group}{end}"
    for name in _hydras_keys() if key.startswith("hydra.") else ["hydra.", *keys_of(config_class)]:
        if name.startswith(key):
            dot = name.find(".", len(key)) + 1
            yield sign + (name[:dot] if dot else f"{name}{end}")


def _groups(composer: Composer, key: str) -> list[str]:
    if key.startswith("hydra/"):
        return [f"hydra/{group}" for group in composer.loader.list_groups("hydra")]
    return composer.options.groups()


def _values(composer: Composer, config_class: type[Checked], key: str) -> list[str]:
    options = composer.options.of(key.partition("@")[0])
    rule = rule_at(config_class, key)
    if options or rule is None:
        return options
    if rule.kind is str and not rule.choices:
        return []  # free text: the shell proposes files
    return [*(("true", "false") if rule.kind is bool else rule.choices), *(["null"] if rule.optional else [])]


def _hydras_keys(values: object = None, prefix: str = "hydra") -> Iterator[str]:
    """The keys of Hydra's own config."""
    values = OmegaConf.to_container(OmegaConf.structured(HydraConf)) if values is None else values
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from _hydras_keys(value if value is not None else "", f"{prefix}.{key}")
    else:
        yield prefix
