"""Parse overrides: which ones choose an option or set a key, and the violations of each one separately."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.override_parser.types import Override, OverrideType

from gpt2hydra.composition.hydra_errors import grammar_rule
from gpt2hydra.composition.hydra_state import parse
from gpt2hydra.composition.options import Options
from gpt2hydra.config.errors import ABSENT, ConfigError, Source, Violation, command_line
from gpt2hydra.config.keys import field_at, rule_at
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.formatting import closest, format_value
from gpt2hydra.utils.quoting import RawOverride, quote_for_hydra


@dataclass
class Overrides:
    """Parsed overrides by kind, without those that have ``violations``."""

    texts: Sequence[str] = ()
    """The overrides as typed."""
    choices: list[Override] = field(default_factory=list)
    """Choices of an option: ``model=large``."""
    values: list[Override] = field(default_factory=list)
    """Values of a key: ``model.n_head=7``, ``model={n_head: 7}``."""
    hydra: list[Override] = field(default_factory=list)
    """Values of Hydra's own config: ``hydra.run.dir=x``."""
    violations: list[Violation] = field(default_factory=list)
    incomplete: list[Override] = field(default_factory=list)
    """Choices whose file is merged without its defaults list, because that is invalid."""
    meant: set[str] = field(default_factory=set)
    """Groups whose invalid option was replaced in ``choices`` by the one that was probably meant."""


def read_overrides(texts: Sequence[str], options: Options) -> Overrides:
    """Parse each override and sort it by kind."""
    found = Overrides(texts)
    last = {text.partition("=")[0]: number for number, text in enumerate(texts)}
    deleted = {text[1:] for text in texts if text.startswith("~")}
    for number, text in enumerate(texts):
        key, equals, value = text.partition("=")
        replaced = number < last[key] or key in deleted
        key = key.lstrip("+~").strip()
        if not key or (not equals and not text.startswith("~")):
            found.violations.append(argument_violation(text))
            continue
        try:
            override = parse(text)
            chosen = override.value()
        except Exception as error:  # Hydra's errors, or Python's if a number has 5,000 digits
            meant: dict[str, object] = {key: value} if value in options.of(key) else {}
            found.violations.append(Violation(key, value, grammar_rule(error), command_line(text), meant))
            continue
        if key == "hydra" and "hydra" not in options.default_choices():
            rule = "is Hydra's own section; set its keys, for example hydra.run.dir"
            found.violations.append(Violation(key, value if equals else ABSENT, rule, command_line(text)))
        elif override.is_sweep_override():
            found.violations.append(_sweep_violation(override, key, value))
        elif not isinstance(chosen, dict) and options.is_group(override.key_or_group):
            _read_choice(options, override, found, replaced=replaced)
        else:
            (found.hydra if override.is_hydra_override() else found.values).append(override)
    return found


def argument_violation(text: str) -> Violation:
    """Return the violation of an argument that is not an override."""
    dashes = "; options of Hydra are arguments of their own, see --hydra-help" if text.startswith("-") else ""
    rule = f"is not an override, which is KEY=VALUE, or ~KEY to delete{dashes}"
    return Violation(format_value(text), rule=rule, source=command_line(text), action="word")


def _sweep_violation(override: Override, key: str, value: str) -> Violation:
    """Return the violation of an override with several values without -m."""
    typed = command_line(override.input_line)
    if override.is_hydra_override():
        return Violation(key, value, "is a list of values; Hydra's own config cannot be swept over", typed)
    rule = "is a list of values to sweep over, which needs -m (--multirun)"
    return Violation(key, value, rule, typed, {override.get_key_element(): RawOverride(value)}, multirun=True)


def _read_choice(options: Options, override: Override, found: Overrides, *, replaced: bool) -> None:
    key, _, value = (override.input_line or "").partition("=")
    key, chosen, typed = key.lstrip("+~").strip(), override.value(), command_line(override.input_line)
    known = options.of(override.key_or_group)
    readable = override.is_delete() or isinstance(chosen, (str, list))  # for Hydra, a number, flag or null is not a choice
    names = chosen if isinstance(chosen, list) else [] if chosen is None else [str(chosen)]
    wrong = [name for name in names if name not in known and not options.has(override.key_or_group, name)]
    if isinstance(chosen, (int, float)) and value in known:
        kind = "true or false" if isinstance(chosen, bool) else "a number"
        rule = f"is {kind} for Hydra; quote the name of an option"
        found.violations.append(Violation(key, value, rule, typed, {key: value}))
        return
    if wrong or not readable:
        if not _names_known_group(options, override):
            found.values.append(override)  # a folder, but not a group of this config
            return
        if replaced and readable:  # a later override chooses or deletes the same group
            return
        near = value if value in known else closest(str(chosen).rpartition("/")[2], known)
        rule, remedy = f"must be one of {', '.join(known)}", {key: near} if near else options.remedy(key)
        if near == value:
            rule = "is the name of an option only in quotes"
        if chosen is None and not remedy:
            rule, remedy = f"{rule}, or left out", {key: ABSENT}
        found.violations.append(Violation(key, value, rule, typed, remedy))
        if near and isinstance(chosen, str) and override.package is None:  # check the rest with the option that was meant
            found.choices.append(parse(f"{key}={quote_for_hydra(near)}"))
            found.meant.add(key)
    elif override.is_add() and override.package is None and key in options.default_choices():
        rule = "is in the defaults list already; leave out the plus"
        found.violations.append(Violation(key, value, rule, typed, {key: RawOverride(value)}))
        found.choices.append(dataclasses.replace(override, type=OverrideType.CHANGE))
        found.meant.add(key)
    else:
        found.choices.append(override)


def _names_known_group(options: Options, override: Override) -> bool:
    """Return whether an override names a group of this config or of Hydra, or adds a group."""
    if override.is_hydra_override() or override.is_add() or override.package is not None:
        return True
    default_choices = options.default_choices()
    return not default_choices or override.key_or_group in default_choices


# ----------------------------------------------------------------------------------- arguments that are not overrides


def join_split_arguments(
    texts: Sequence[str], violations: list[Violation], options: Options, root: type[Checked]
) -> list[Violation]:
    """Return ``violations`` with one for all words of an unquoted text, and with remedies for other words."""
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
            found += (
                _suggest_override(each, options, root)
                for text in texts[first:last]
                for each in of_words
                if _is_about(each, text)
            )
        first = last
    return found


def _is_word(text: str) -> bool:
    return "=" not in text and not text.startswith(("~", "-"))


def _is_about(violation: Violation, text: str) -> bool:
    return violation.source is not None and violation.source.override == text


def _is_text(root: type[Checked], key: str) -> bool:
    rule = rule_at(root, key)
    return rule is not None and rule.kind is str and not rule.choices


def _suggest_override(violation: Violation, options: Options, root: type[Checked]) -> Violation:
    """Add a remedy if it is unique: ``large`` → ``model=large``, the folder of a run → ``checkpoint=FOLDER``."""
    word = violation.source.override if violation.source is not None else None
    if word is None or not _is_word(word):
        return violation
    groups = [group for group in options.groups() if word in options.of(group)]
    remedies: list[dict[str, object]] = [{group: word} for group in groups]
    if field_at(root, "checkpoint") is not None and Path(word).is_dir():
        remedies.append({"checkpoint": word})
    return dataclasses.replace(violation, remedy=remedies[0]) if len(remedies) == 1 else violation


# ---------------------------------------------------------------------------------------------------- quoting of text


@dataclass(frozen=True)
class OverrideTexts:
    """The texts of overrides for Hydra, and the sources of those that were not typed like this."""

    texts: list[str]
    sources: Mapping[str, Source] = field(default_factory=dict)

    @classmethod
    def from_command_line(cls, overrides: Iterable[str], config_class: type[Checked], *, sweep: bool = False) -> OverrideTexts:
        """Return the overrides with quoted values of text fields, so that Hydra reads them as typed.

        Hydra would read ``data.path=007`` as 7 and the commas of ``prompt=To be, or not`` as a sweep. Except
        in a sweep, a ``prompt`` is always quoted. Other text is quoted if it looks like a number or has
        characters that Hydra's grammar lacks. Values that are quoted already are not changed.
        """
        quoted = {text: _quoted(text, config_class, sweep) for text in overrides}
        changed = {after: command_line(before) for before, after in quoted.items() if before != after}
        return cls([quoted[text] for text in overrides], changed)

    def prepend(self, implied: Mapping[str, Source]) -> OverrideTexts:
        """Return a copy with other overrides before these, such as those implied by ``fork_from=``."""
        return OverrideTexts([*implied, *self.texts], {**implied, **self.sources})

    def source(self, source: Source) -> Source:
        """Return the original source of an override that was changed or implied."""
        return self.sources.get(source.override or "", source)

    @contextmanager
    def showing_sources(self) -> Iterator[None]:
        """Context manager: a ConfigError shows each override as typed, or its original source."""
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
    beyond = (not value.isascii() or value.startswith("~")) and not set(value) & set(",()[]{}'\"$\\=")  # not in Hydra's grammar
    return f"{key}={quote_for_hydra(value)}" if literal or number or beyond else text


def _is_quoted(value: str) -> bool:
    """Return whether ``value`` is one quoted string of Hydra's grammar."""
    mark = value[:1]
    return mark in ("'", '"') and re.fullmatch(rf"{mark}(?:[^{mark}\\]|\\.)*{mark}", value, re.DOTALL) is not None
