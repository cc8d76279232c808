"""Words of the command line that are no override: text that the shell cut at its spaces, an option without its group."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.hydra_state import parse
from gpt2hydra.config.errors import Violation, command_line
from gpt2hydra.config.keys import field_at, rule_at
from gpt2hydra.config.validation import Checked


def told_once(texts: Sequence[str], violations: list[Violation], composer: Composer, root: type[Checked]) -> list[Violation]:
    """The same, but one for all words of a text that was cut, and each other word with what it was probably meant for."""
    words = {text for text in texts if _is_word(text)}
    told = [each for each in violations if each.action != "word"]
    first = 0
    while first < len(texts):
        last = first + 1
        while last < len(texts) and texts[last] in words:
            last += 1
        key = texts[first].partition("=")[0]
        readable = not any(_is_about(each, texts[first]) for each in told)
        if last > first + 1 and readable and _is_text(root, key):
            said = " ".join([str(parse(texts[first]).value()), *texts[first + 1 : last]])
            rule = "is cut at its spaces; text with spaces needs quotes"
            told.append(Violation(key, said, rule, command_line(" ".join(texts[first:last])), {key: said}))
        else:
            of_words = [each for each in violations if each.action == "word"]
            told += (_meant(each, composer, root) for text in texts[first:last] for each in of_words if _is_about(each, text))
        first = last
    return told


def _is_word(text: str) -> bool:
    return "=" not in text and not text.startswith(("~", "-"))


def _is_about(violation: Violation, text: str) -> bool:
    return violation.source is not None and violation.source.override == text


def _is_text(root: type[Checked], key: str) -> bool:
    rule = rule_at(root, key)
    return rule is not None and rule.kind is str and not rule.choices


def _meant(violation: Violation, composer: Composer, root: type[Checked]) -> Violation:
    """``large`` → ``model=large``, the folder of a run → ``checkpoint=FOLDER``; as it is where that is not certain."""
    word = violation.source.override if violation.source is not None else None
    if word is None or not _is_word(word):
        return violation
    groups = [group for group in composer.options.groups() if word in composer.options.of(group)]
    remedies: list[dict[str, object]] = [{group: word} for group in groups]
    if field_at(root, "checkpoint") is not None and Path(word).is_dir():
        remedies.append({"checkpoint": word})
    return dataclasses.replace(violation, remedy=remedies[0]) if len(remedies) == 1 else violation
