"""What to type instead, composed and checked before it is printed: it brings no new violation."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from gpt2hydra.composition.fold import Provenance
from gpt2hydra.composition.hydra_state import parse
from gpt2hydra.composition.options import Options
from gpt2hydra.config.errors import ABSENT, Violation
from gpt2hydra.config.keys import field_at
from gpt2hydra.config.rules import Rule
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.formatting import closest
from gpt2hydra.utils.quoting import Placeholder, RawOverride

MOST_POINTS = 50
"""A sweep with more points is not offered as a remedy: each would be composed."""

FURTHER = 3
"""So often a remedy that brings a new violation is tried once more with the remedy of that."""


# -------------------------------------------------------------------------------------------------------- candidates


def candidate(violation: Violation, provenance: Provenance, root: type[Checked]) -> Violation:
    """The violation with who set its keys, and with a remedy: a valid value, where it has no better one."""
    field, found = field_at(root, violation.key), provenance.blame(violation)
    if field is not None and "computed" in field.metadata:
        inputs = [source for source in found.others.values() if source is not None and source.kind != "default"]
        return dataclasses.replace(found, replaced=None, source=inputs[0] if inputs else found.source)
    if field is None or "rule" not in field.metadata:
        return found
    rule: Rule = field.metadata["rule"]
    if violation.is_typed and violation.action == "set" and isinstance(violation.value, str):
        found = _as_meant(found, rule)
    blank = any(isinstance(value, Placeholder) for value in found.remedy.values())
    if (blank if found.value is ABSENT else not found.remedy) and (rule.kind is not str or rule.choices):
        found = dataclasses.replace(found, remedy=_as_before(found, field, provenance) or found.remedy)
    return found


def _as_meant(violation: Violation, rule: Rule) -> Violation:
    """With what was meant by an override that is no single value for Hydra: text, a number with commas."""
    key, text = violation.key, str(violation.value)
    if not violation.multirun and (meant := _without_slips(text, rule)) is not None:
        return dataclasses.replace(violation, remedy={key: meant})
    if rule.kind is str and not rule.choices and "${" not in text:
        parts = text.split(",")
        if violation.multirun and len(parts) > 1 and all(Path(part).exists() for part in parts):
            return violation  # several files to sweep over
        return dataclasses.replace(violation, remedy={key: text}, multirun=False)
    if violation.multirun and (number := _without_commas(text, rule)) is not None:
        message = "is a list of values for Hydra; a number has no commas"
        return dataclasses.replace(violation, rule=message, remedy={key: number}, multirun=False)
    return violation


def _without_slips(text: str, rule: Rule) -> int | float | None:
    """``=40``, ``40;`` and ``40 ,`` → 40, where the rule takes that; None for anything else."""
    number = re.fullmatch(r"[=\s]*(-?\d{1,18}(?:\.\d+)?)[\s;,]*", text)
    if number is None or rule.kind not in (int, float):
        return None
    value = int(number[1]) if rule.kind is int and "." not in number[1] else float(number[1])
    return value if rule.problem(value) is None else None


def _without_commas(text: str, rule: Rule) -> int | float | None:
    """``1,000`` → 1000, and ``0,001``, where a fraction can be meant, → 0.001; None for a list of values."""
    if rule.kind is float and re.fullmatch(r"-?0,\d+", text):
        return float(text.replace(",", "."))
    if rule.kind in (int, float) and re.fullmatch(r"[1-9]\d{0,2}(,\d{3})+", text):
        return int(text.replace(",", ""))
    return None


def _as_before(violation: Violation, field: dataclasses.Field[Any], provenance: Provenance) -> dict[str, object]:
    """The last earlier value that obeys the rule, or the schema's default; nothing where neither does."""
    if field.metadata["rule"].kind is bool and isinstance(violation.value, (str, int, float)):  # the other may be meant
        return {}
    settings = provenance.settings.get(violation.key, ())
    values = [each.value for each in reversed(settings) if each.source != violation.source]
    obeying = (value for value in (*values, field.default) if field.metadata["rule"].problem(value) is None)
    return next(({violation.key: value} for value in obeying), {})


# -------------------------------------------------------------------------------------------------------- the trial


Check = Callable[[Sequence[str]], Sequence[Violation]]
"""What is wrong with other overrides."""


class Trial:
    """Tries remedies, each as if all other mistakes of the command line were taken back."""

    def __init__(self, texts: Sequence[str], violations: Sequence[Violation], check: Check, options: Options) -> None:
        """Args:
        texts: the overrides that were refused.
        violations: all that is wrong with them.
        check: all violations of other overrides.
        """
        self.texts, self.violations, self.check, self.options = texts, violations, check, options

    def tried(self, violation: Violation) -> Violation:
        """The violation with a remedy that works: its own, perhaps with more keys; none where that fails."""
        if violation.multirun:
            return self._tried_sweep(violation)
        if any(isinstance(value, Placeholder) for value in violation.remedy.values()):
            return violation  # only the user knows
        candidate = violation.remedy
        for _ in range(FURTHER):
            new = self._new(violation, candidate) if candidate else []
            if not new:
                return dataclasses.replace(violation, remedy=candidate)
            further = {key: value for each in new for key, value in each.remedy.items()}
            if not all(each.remedy for each in new) or not self._may_add(violation, {*further}):
                break
            candidate = {**candidate, **further}
        return dataclasses.replace(violation, remedy={})

    def _may_add(self, violation: Violation, keys: set[str]) -> bool:
        """Whether the remedy may have other values, of these keys, than it first had.

        Not for a misspelt key or an option, of which what was typed is all that is known, nor for what the
        command line sets.
        """
        typed = {text.partition("=")[0].lstrip("+") for text in self.texts} - {violation.key}
        return violation.key in violation.remedy and not self.options.is_group(violation.key) and not typed & keys

    def _new(self, violation: Violation, remedy: Any) -> list[Violation]:
        """What is wrong with ``remedy`` in place of the violation, besides what was wrong elsewhere."""
        words = dataclasses.replace(violation, remedy=remedy).remedy_words
        return self._beyond_known(violation, [*self._others(violation), *words], {*remedy})

    def _beyond_known(self, violation: Violation, texts: list[str], keys: Collection[str]) -> list[Violation]:
        """What is wrong with ``texts`` besides what was wrong before; ``keys`` are those of a remedy."""
        known = {(each.key, repr(each.value)) for each in self.violations if each is not violation}
        elsewhere = {key for key, _ in known if key not in keys and key != violation.key}
        found = self.check(texts)
        return [each for each in found if each.key not in elsewhere and (each.key, repr(each.value)) not in known]

    def _others(self, violation: Violation) -> list[str]:
        """The overrides without those of other violations, with the options that were meant instead.

        To be quick, without those of Hydra's own config, unless the violation is of one.
        """
        hydras_own = violation.key.startswith("hydra")
        rest = [each for each in self.violations if each is not violation]
        others = words_meant(rest, self.texts, self.options, keep=words_of_others(violation, self.texts))
        own = typed_words(violation, self.texts)
        return [text for text in others if text not in own and (hydras_own or not text.lstrip("+~").startswith("hydra"))]

    def _tried_sweep(self, violation: Violation) -> Violation:
        """With a sweep of all that was typed as remedy, if its points are valid and nothing else is wrong."""
        ((key, value),) = violation.remedy.items()
        try:
            values = [*itertools.islice(parse(f"{key}={value}").sweep_string_iterator(), MOST_POINTS + 1)]
        except Exception:  # a sweep that only another sweeper reads, interval(1,12)
            values = []
        others = self._others(violation)
        alone = not any(each.is_typed for each in self.violations if each is not violation)
        works = alone and all(not self._beyond_known(violation, [*others, f"{key}={each}"], {key}) for each in values)
        if not values or len(values) > MOST_POINTS or not works:
            return dataclasses.replace(violation, remedy={})
        wrong = typed_words(violation, self.texts)
        remedy = dict(_facts(text) for text in self.texts if text not in wrong)
        return dataclasses.replace(violation, remedy={**remedy, key: value})


def words_meant(violations: Sequence[Violation], texts: Sequence[str], options: Options, keep: Sequence[str] = ()) -> list[str]:
    """The words of the command line without those that violations are about, but for some to ``keep``.

    In place of each misspelt option stands the one that was meant, by which all else was judged.
    """
    wrong = {text for each in violations for text in typed_words(each, texts) or words_of_others(each, texts)} - {*keep}
    slips = [each for each in violations if _is_slip(each, options)]
    return [*(text for text in texts if text not in wrong), *(word for each in slips for word in each.remedy_words)]


def _is_slip(violation: Violation, options: Options) -> bool:
    """Whether it is of a misspelt option."""
    meant = violation.remedy.get(violation.key)
    is_option = violation.is_typed and isinstance(meant, str) and options.is_group(violation.key)
    return is_option and meant == closest(str(violation.value).rpartition("/")[2], options.of(violation.key))


def typed_words(violation: Violation, texts: Sequence[str]) -> list[str]:
    """The words of the command line that a violation is about; several where a text has spaces."""
    override = violation.source.override if violation.source is not None else None
    if override is None or not violation.is_typed:
        return []
    if override in texts:
        return [override]
    return next((list(run) for run in _runs(texts) if " ".join(run) == override), [])


def words_of_others(violation: Violation, texts: Sequence[str]) -> list[str]:
    """The words of the command line that set the other keys of a rule."""
    typed = {source.override for source in violation.others.values() if source is not None and source.kind == "command line"}
    return [text for text in texts if text in typed]


def _runs(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(len(texts)):
        for last in range(first + 2, len(texts) + 1):
            yield texts[first:last]


def _facts(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    return (key, RawOverride(value)) if equals else (key.removeprefix("~"), ABSENT)
