"""Suggest remedies. Each is composed and checked first: it must fix its violation and cause no new one."""

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
from gpt2hydra.config.validation import Checked
from gpt2hydra.config.value_rules import Rule
from gpt2hydra.utils.formatting import closest
from gpt2hydra.utils.quoting import Placeholder, RawOverride

MAX_SWEEP_POINTS = 50
"""A sweep with more points is not offered as a remedy, because each point would be composed."""

MAX_ATTEMPTS = 3
"""Most attempts to extend a remedy that causes a new violation by the remedy of that violation."""


# -------------------------------------------------------------------------------------------------------- candidates


def add_candidate_remedy(violation: Violation, provenance: Provenance, root: type[Checked]) -> Violation:
    """Return the violation with its sources and, if it has no better remedy, with a value that is valid."""
    field, found = field_at(root, violation.key), provenance.add_source(violation)
    if field is not None and "computed" in field.metadata:
        inputs = [source for source in found.others.values() if source is not None and source.kind != "default"]
        return dataclasses.replace(found, replaced=None, source=inputs[0] if inputs else found.source)
    if field is None or "rule" not in field.metadata:
        return found
    rule: Rule = field.metadata["rule"]
    if violation.is_typed and violation.action == "set" and isinstance(violation.value, str):
        found = _suggest_meant_value(found, rule)
    blank = any(isinstance(value, Placeholder) for value in found.remedy.values())
    if (blank if found.value is ABSENT else not found.remedy) and (rule.kind is not str or rule.choices):
        found = dataclasses.replace(found, remedy=_suggest_previous_value(found, field, provenance) or found.remedy)
    return found


def _suggest_meant_value(violation: Violation, rule: Rule) -> Violation:
    """Add a remedy if Hydra cannot read the override as one value: a text, or a number with commas."""
    key, text = violation.key, str(violation.value)
    if not violation.multirun and (meant := _strip_punctuation(text, rule)) is not None:
        return dataclasses.replace(violation, remedy={key: meant})
    if rule.kind is str and not rule.choices and "${" not in text:
        parts = text.split(",")
        if violation.multirun and len(parts) > 1 and all(Path(part).exists() for part in parts):
            return violation  # several files to sweep over
        return dataclasses.replace(violation, remedy={key: text}, multirun=False)
    if violation.multirun and (number := _strip_commas(text, rule)) is not None:
        message = "is a list of values for Hydra; a number has no commas"
        return dataclasses.replace(violation, rule=message, remedy={key: number}, multirun=False)
    return violation


def _strip_punctuation(text: str, rule: Rule) -> int | float | None:
    """Return 40 for ``=40``, ``40;`` and ``40 ,`` if the rule accepts it; None for anything else."""
    number = re.fullmatch(r"[=\s]*(-?\d{1,18}(?:\.\d+)?)[\s;,]*", text)
    if number is None or rule.kind not in (int, float):
        return None
    value = int(number[1]) if rule.kind is int and "." not in number[1] else float(number[1])
    return value if rule.first_problem(value) is None else None


def _strip_commas(text: str, rule: Rule) -> int | float | None:
    """Return 1000 for ``1,000``, and 0.001 for ``0,001`` if the rule is a float; None for a list of values."""
    if rule.kind is float and re.fullmatch(r"-?0,\d+", text):
        return float(text.replace(",", "."))
    if rule.kind in (int, float) and re.fullmatch(r"[1-9]\d{0,2}(,\d{3})+", text):
        return int(text.replace(",", ""))
    return None


def _suggest_previous_value(violation: Violation, field: dataclasses.Field[Any], provenance: Provenance) -> dict[str, object]:
    """Return the last other value of the key that is valid, or the schema's default if it is, as a remedy."""
    if field.metadata["rule"].kind is bool and isinstance(violation.value, (str, int, float)):  # the other value may be meant
        return {}
    settings = provenance.settings.get(violation.key, ())
    values = [each.value for each in reversed(settings) if each.source != violation.source]
    obeying = (value for value in (*values, field.default) if field.metadata["rule"].first_problem(value) is None)
    return next(({violation.key: value} for value in obeying), {})


# -------------------------------------------------------------------------------------------------------- the trial


Check = Callable[[Sequence[str]], Sequence[Violation]]
"""Returns the violations of other overrides."""


class Trial:
    """Tries remedies; for each, all other invalid overrides are left out."""

    def __init__(self, texts: Sequence[str], violations: Sequence[Violation], check: Check, options: Options) -> None:
        """Args:
        texts: the overrides that have violations.
        violations: all their violations.
        check: returns all violations of other overrides.
        """
        self.texts, self.violations, self.check, self.options = texts, violations, check, options

    def keep_working_remedy(self, violation: Violation) -> Violation:
        """Return the violation with a remedy that works: its own, one with more keys, or none."""
        if violation.multirun:
            return self._keep_valid_sweep(violation)
        if any(isinstance(value, Placeholder) for value in violation.remedy.values()):
            return violation  # only the user knows the value
        candidate = violation.remedy
        for _ in range(MAX_ATTEMPTS):
            new = self._new_violations(violation, candidate) if candidate else []
            if not new:
                return dataclasses.replace(violation, remedy=candidate)
            further = {key: value for each in new for key, value in each.remedy.items()}
            if not all(each.remedy for each in new) or not self._may_extend(violation, {*further}):
                break
            candidate = {**candidate, **further}
        return dataclasses.replace(violation, remedy={})

    def _may_extend(self, violation: Violation, keys: set[str]) -> bool:
        """Return whether the remedy may be extended by ``keys``.

        It may not be for a misspelt key or an option, because only the typed text is known, and not by keys
        that the command line sets.
        """
        typed = {text.partition("=")[0].lstrip("+") for text in self.texts} - {violation.key}
        return violation.key in violation.remedy and not self.options.is_group(violation.key) and not typed & keys

    def _new_violations(self, violation: Violation, remedy: Any) -> list[Violation]:
        """Return the new violations if ``remedy`` replaces the override of the violation."""
        words = dataclasses.replace(violation, remedy=remedy).remedy_words
        return self._without_known(violation, [*self._other_overrides(violation), *words], {*remedy})

    def _without_known(self, violation: Violation, texts: list[str], keys: Collection[str]) -> list[Violation]:
        """Return the new violations of ``texts``, a command line with a remedy of ``keys``."""
        known = {(each.key, repr(each.value)) for each in self.violations if each is not violation}
        elsewhere = {key for key, _ in known if key not in keys and key != violation.key}
        found = self.check(texts)
        return [each for each in found if each.key not in elsewhere and (each.key, repr(each.value)) not in known]

    def _other_overrides(self, violation: Violation) -> list[str]:
        """Return the overrides without those of other violations, but with the options that were meant.

        To save time, those of Hydra's own config are left out too, unless the violation is about one.
        """
        hydras_own = violation.key.startswith("hydra")
        rest = [each for each in self.violations if each is not violation]
        others = corrected_overrides(rest, self.texts, self.options, keep=arguments_of_others(violation, self.texts))
        own = arguments_of_violation(violation, self.texts)
        return [text for text in others if text not in own and (hydras_own or not text.lstrip("+~").startswith("hydra"))]

    def _keep_valid_sweep(self, violation: Violation) -> Violation:
        """Return the violation with the command line as a sweep if each point and everything else is valid."""
        ((key, value),) = violation.remedy.items()
        try:
            values = [*itertools.islice(parse(f"{key}={value}").sweep_string_iterator(), MAX_SWEEP_POINTS + 1)]
        except Exception:  # a sweep for another sweeper, such as interval(1,12)
            values = []
        others = self._other_overrides(violation)
        alone = not any(each.is_typed for each in self.violations if each is not violation)
        works = alone and all(not self._without_known(violation, [*others, f"{key}={each}"], {key}) for each in values)
        if not values or len(values) > MAX_SWEEP_POINTS or not works:
            return dataclasses.replace(violation, remedy={})
        wrong = arguments_of_violation(violation, self.texts)
        remedy = dict(_key_and_value(text) for text in self.texts if text not in wrong)
        return dataclasses.replace(violation, remedy={**remedy, key: value})


def corrected_overrides(
    violations: Sequence[Violation], texts: Sequence[str], options: Options, keep: Sequence[str] = ()
) -> list[str]:
    """Return the overrides without violations, and those to ``keep``.

    Each misspelt option is replaced by the one that was meant, with which the rest was checked.
    """
    wrong = {
        text for each in violations for text in arguments_of_violation(each, texts) or arguments_of_others(each, texts)
    } - {*keep}
    misspelt = [each for each in violations if _is_misspelt_option(each, options)]
    return [*(text for text in texts if text not in wrong), *(word for each in misspelt for word in each.remedy_words)]


def _is_misspelt_option(violation: Violation, options: Options) -> bool:
    """Return whether a violation is about a misspelt option."""
    meant = violation.remedy.get(violation.key)
    is_option = violation.is_typed and isinstance(meant, str) and options.is_group(violation.key)
    return is_option and meant == closest(str(violation.value).rpartition("/")[2], options.of(violation.key))


def arguments_of_violation(violation: Violation, texts: Sequence[str]) -> list[str]:
    """Return the arguments that a violation is about: usually one; several if a text has spaces."""
    override = violation.source.override if violation.source is not None else None
    if override is None or not violation.is_typed:
        return []
    if override in texts:
        return [override]
    return next((list(run) for run in _consecutive_arguments(texts) if " ".join(run) == override), [])


def arguments_of_others(violation: Violation, texts: Sequence[str]) -> list[str]:
    """Return the arguments that set the other keys of a rule."""
    typed = {source.override for source in violation.others.values() if source is not None and source.kind == "command line"}
    return [text for text in texts if text in typed]


def _consecutive_arguments(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(len(texts)):
        for last in range(first + 2, len(texts) + 1):
            yield texts[first:last]


def _key_and_value(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    return (key, RawOverride(value)) if equals else (key.removeprefix("~"), ABSENT)
