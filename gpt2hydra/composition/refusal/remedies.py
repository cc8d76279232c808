"""What to type instead: the remedy of a violation, and who set what it is about."""

from __future__ import annotations

import dataclasses
from typing import Any

from gpt2hydra.composition.provenance import Provenance
from gpt2hydra.config.checked import Checked
from gpt2hydra.config.errors import ABSENT, DELETED, Violation
from gpt2hydra.config.keys import field_at
from gpt2hydra.config.quoting import Blank


def traced(violation: Violation, provenance: Provenance, root: type[Checked]) -> Violation:
    """The violation with who set its key and the others, and, where it has no better remedy, the value that was replaced."""
    field, setting = field_at(root, violation.key), provenance.setting(violation.key)
    told = provenance.blame(violation)
    if field is not None and "computed" in field.metadata:
        return dataclasses.replace(told, replaced=None)
    if violation.is_typed and setting is not None and setting.source == violation.source and setting.value is not DELETED:
        told = dataclasses.replace(told, replaced=provenance.replaced(setting.key))
    remedy = violation.remedy
    blank = any(isinstance(value, Blank) for value in remedy.values())
    if blank if violation.value is ABSENT else not remedy:
        remedy = _as_before(violation.key, field, provenance) or remedy
    others = {key: provenance.source(key) for key in violation.others}
    return dataclasses.replace(told, remedy=remedy, others=others)


def _as_before(key: str, field: dataclasses.Field[Any] | None, provenance: Provenance) -> dict[str, object]:
    """The newest earlier value that obeys the rule, the schema's default at the last; or nothing."""
    if field is None or "rule" not in field.metadata:
        return {}
    earlier = [setting.value for setting in reversed(provenance.settings.get(key, ())[:-1])]
    obeying = (value for value in (*earlier, field.default) if field.metadata["rule"].problem(value) is None)
    return next(({key: value} for value in obeying), {})
