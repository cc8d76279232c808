"""The command line: which override chooses, which sets, and what is wrong with each by itself."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.override_parser.types import Override, OverrideType

from gpt2hydra.composition.hydra_errors import grammar
from gpt2hydra.composition.hydra_state import parse
from gpt2hydra.composition.options import Options
from gpt2hydra.config.errors import ABSENT, ConfigError, Source, Violation, command_line
from gpt2hydra.config.keys import field_at, rule_at
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.formatting import closest, show
from gpt2hydra.utils.quoting import RawOverride, quoted


@dataclass
class Overrides:
    """Overrides by what they set, but for those with ``violations``."""

    texts: Sequence[str] = ()
    """As they were typed."""
    choices: list[Override] = field(default_factory=list)
    """Of an option of a group: ``model=large``."""
    values: list[Override] = field(default_factory=list)
    """Of a key: ``model.n_head=7``, ``model={n_head: 7}``."""
    hydra: list[Override] = field(default_factory=list)
    """Of a key of Hydra's own: ``hydra.run.dir=x``."""
    violations: list[Violation] = field(default_factory=list)
    incomplete: list[Override] = field(default_factory=list)
    """Choices with a wrong defaults list, of which only the file's own keys count."""
    meant: set[str] = field(default_factory=set)
    """The groups of which ``choices`` has the option that was meant, in place of a wrong one."""


def read(texts: Sequence[str], options: Options) -> Overrides:
    """Parse each override and put it where it belongs."""
    found = Overrides(texts)
    last = {text.partition("=")[0]: number for number, text in enumerate(texts)}
    deleted = {text[1:] for text in texts if text.startswith("~")}
    for number, text in enumerate(texts):
        key, equals, value = text.partition("=")
        replaced = number < last[key] or key in deleted
        key = key.lstrip("+~").strip()
        if not key or (not equals and not text.startswith("~")):
            found.violations.append(no_override(text))
            continue
        try:
            override = parse(text)
            chosen = override.value()
        except Exception as error:  # Hydra's grammar raises its own, and Python's where a number has 5,000 digits
            meant: dict[str, object] = {key: value} if value in options.of(key) else {}
            found.violations.append(Violation(key, value, grammar(error), command_line(text), meant))
            continue
        if key == "hydra" and "hydra" not in options.usual():
            rule = "is Hydra's own section; set its keys, for example hydra.run.dir"
            found.violations.append(Violation(key, value if equals else ABSENT, rule, command_line(text)))
        elif override.is_sweep_override():
            found.violations.append(_sweep(override, key, value))
        elif not isinstance(chosen, dict) and options.is_group(override.key_or_group):
            _read_choice(options, override, found, replaced=replaced)
        else:
            (found.hydra if override.is_hydra_override() else found.values).append(override)
    return found


def no_override(text: str) -> Violation:
    """The violation of an argument that is no override."""
    dashes = "; options of Hydra stand by themselves, see --hydra-help" if text.startswith("-") else ""
    rule = f"is not an override, which is KEY=VALUE, or ~KEY to delete{dashes}"
    return Violation(show(text), rule=rule, source=command_line(text), action="word")


def _sweep(override: Override, key: str, value: str) -> Violation:
    """The violation of an override with several values, where no sweep was asked for."""
    typed = command_line(override.input_line)
    if override.is_hydra_override():
        return Violation(key, value, "is a list of values: Hydra's own config cannot be swept over", typed)
    rule = "is a list of values to sweep over, which needs -m (--multirun)"
    return Violation(key, value, rule, typed, {override.get_key_element(): RawOverride(value)}, multirun=True)


def _read_choice(options: Options, override: Override, found: Overrides, *, replaced: bool) -> None:
    key, _, value = (override.input_line or "").partition("=")
    key, chosen, typed = key.lstrip("+~").strip(), override.value(), command_line(override.input_line)
    known = options.of(override.key_or_group)
    readable = override.is_delete() or isinstance(chosen, (str, list))  # of a number, a flag and null, Hydra makes no choice
    names = chosen if isinstance(chosen, list) else [] if chosen is None else [str(chosen)]
    wrong = [name for name in names if name not in known and not options.has(override.key_or_group, name)]
    if isinstance(chosen, (int, float)) and value in known:
        kind = "true or false" if isinstance(chosen, bool) else "a number"
        rule = f"is {kind} for Hydra; an option of this name needs quotes"
        found.violations.append(Violation(key, value, rule, typed, {key: value}))
        return
    if wrong or not readable:
        if not _of_this_config(options, override):
            found.values.append(override)  # a folder, but no group of this config
            return
        if replaced and readable:  # by a later choice of the same group, or deleted
            return
        near = value if value in known else closest(str(chosen).rpartition("/")[2], known)
        rule, remedy = f"must be one of {', '.join(known)}", {key: near} if near else options.remedy(key)
        if near == value:
            rule = "is the name of an option in quotes alone"
        if chosen is None and not remedy:
            rule, remedy = f"{rule}, or left out", {key: ABSENT}
        found.violations.append(Violation(key, value, rule, typed, remedy))
        if near and isinstance(chosen, str) and override.package is None:  # what else is wrong is judged by what was meant
            found.choices.append(parse(f"{key}={quoted(near)}"))
            found.meant.add(key)
    elif override.is_add() and override.package is None and key in options.usual():
        rule = "is chosen already; leave out the plus"
        found.violations.append(Violation(key, value, rule, typed, {key: RawOverride(value)}))
        found.choices.append(dataclasses.replace(override, type=OverrideType.CHANGE))
        found.meant.add(key)
    else:
        found.choices.append(override)


def _of_this_config(options: Options, override: Override) -> bool:
    """Whether it names a group of this config, or of Hydra's, or another that it adds."""
    if override.is_hydra_override() or override.is_add() or override.package is not None:
        return True
    usual = options.usual()
    return not usual or override.key_or_group in usual


# ----------------------------------------------------------------------------------------- words that are no override


def join_split_arguments(
    texts: Sequence[str], violations: list[Violation], options: Options, root: type[Checked]
) -> list[Violation]:
    """``violations``, with one for a text cut at its spaces, and remedies for other words."""
    words = {text for text in texts if _is_word(text)}
    if not words:
        return violations
    found = [each for each in violations if each.action != "word"]
    first = 0
    while first < len(texts):
        last = first + 1
        while last < len(texts) and texts[last] in words:
            last += 1
        key = texts[first].partition("=")[0]
        readable = not any(_is_about(each, texts[first]) for each in found)
        if last > first + 1 and readable and _is_text(root, key):
            joined = " ".join([str(parse(texts[first]).value()), *texts[first + 1 : last]])
            rule = "contains a space; quote it"
            found.append(Violation(key, joined, rule, command_line(" ".join(texts[first:last])), {key: joined}))
        else:
            of_words = [each for each in violations if each.action == "word"]
            found += (_meant(each, options, root) for text in texts[first:last] for each in of_words if _is_about(each, text))
        first = last
    return found


def _is_word(text: str) -> bool:
    return "=" not in text and not text.startswith(("~", "-"))


def _is_about(violation: Violation, text: str) -> bool:
    return violation.source is not None and violation.source.override == text


def _is_text(root: type[Checked], key: str) -> bool:
    rule = rule_at(root, key)
    return rule is not None and rule.kind is str and not rule.choices


def _meant(violation: Violation, options: Options, root: type[Checked]) -> Violation:
    """With a remedy if it is certain: ``large`` → ``model=large``, a run's folder → ``checkpoint=FOLDER``."""
    word = violation.source.override if violation.source is not None else None
    if word is None or not _is_word(word):
        return violation
    groups = [group for group in options.groups() if word in options.of(group)]
    remedies: list[dict[str, object]] = [{group: word} for group in groups]
    if field_at(root, "checkpoint") is not None and Path(word).is_dir():
        remedies.append({"checkpoint": word})
    return dataclasses.replace(violation, remedy=remedies[0]) if len(remedies) == 1 else violation


# ------------------------------------------------------------------------------------------------ text as it was typed


@dataclass(frozen=True)
class Words:
    """Overrides for Hydra, and who set those that nobody typed like that."""

    texts: list[str]
    sources: Mapping[str, Source] = field(default_factory=dict)

    @classmethod
    def typed(cls, overrides: Iterable[str], config_class: type[Checked], *, sweep: bool = False) -> Words:
        """Quote the values of text fields so that they mean what was typed.

        Hydra's grammar would read ``data.path=007`` as 7 and the commas of ``prompt=To be, or not`` as a
        sweep. A ``prompt`` is taken as it stands, any other text field when it looks like a number or has
        signs that the grammar lacks; quoted values are left to Hydra, and so is everything in a sweep.
        """
        quoted = {text: _quoted(text, config_class, sweep) for text in overrides}
        changed = {after: command_line(before) for before, after in quoted.items() if before != after}
        return cls([quoted[text] for text in overrides], changed)

    def after(self, implied: Mapping[str, Source]) -> Words:
        """The same after other overrides, such as those that ``fork_from=`` stands for."""
        return Words([*implied, *self.texts], {**implied, **self.sources})

    def source(self, source: Source) -> Source:
        """Who set what ``source`` did."""
        return self.sources.get(source.override or "", source)

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Within, a refusal shows each override as it was typed, or who else set it."""
        try:
            yield
        except ConfigError as error:
            error.violations = tuple(each.with_sources(self.source) for each in error.violations)
            raise


def _quoted(text: str, config_class: type[Checked], sweep: bool) -> str:
    key, equals, value = text.partition("=")
    field = field_at(config_class, key)
    if not equals or field is None or "rule" not in field.metadata or field.metadata["rule"].kind is not str:
        return text
    if _is_quoted(value) or not value or (value == "null" and field.metadata["rule"].optional):
        return text
    literal = bool(field.metadata.get("literal")) and not sweep
    number = re.fullmatch(r"[-+]?[\d._]+(e[-+]?\d+)?|true|false|inf|nan", value, re.IGNORECASE)
    beyond = (not value.isascii() or value.startswith("~")) and not set(value) & set(
        ",()[]{}'\"$\\="
    )  # Hydra has no word for it
    return f"{key}={quoted(value)}" if literal or number or beyond else text


def _is_quoted(value: str) -> bool:
    """Whether all of ``value`` is one quoted string of Hydra's grammar."""
    mark = value[:1]
    return mark in ("'", '"') and re.fullmatch(rf"{mark}(?:[^{mark}\\]|\\.)*{mark}", value, re.DOTALL) is not None
