"""How a field of a configuration class says what it may hold. Standard library only.

A field states its rule where it is declared, and everything else (checks, messages, the Hydra schema, help) derives from
that one place::

    n_head: int = integer(12, "attention heads of each layer", at_least=1, at_most=10_000)

A field without a default must be given. Two parameters mean the same for all of them: ``affects_result``, whether the value
has a part in the result (:mod:`gpt2hydra.config.fingerprint`); and ``key``, its name in YAML where Python's is another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from gpt2hydra.config.errors import ABSENT
from gpt2hydra.config.rules import Anything, Either, Items, MappingOf, Rule, Scalar
from gpt2hydra.utils.immutable import freeze


def integer(
    default: int | None = ABSENT,
    doc: str = "",
    *,
    at_least: int = 1,
    at_most: int | None = None,
    optional: bool = False,
    affects_result: bool = True,
    key: str | None = None,
) -> Any:
    """A field that holds a true ``int`` between two bounds."""
    return field_of(default, doc, Scalar(int, optional, at_least=at_least, at_most=at_most), affects_result, key)


def number(
    default: float | None = ABSENT,
    doc: str = "",
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    optional: bool = False,
    affects_result: bool = True,
    key: str | None = None,
) -> Any:
    """A field that holds a finite ``float``; an ``int`` is accepted and stored as ``float``."""
    rule = Scalar(float, optional, at_least=at_least, above=above, at_most=at_most)
    return field_of(default, doc, rule, affects_result, key)


def flag(
    default: bool | None = ABSENT,
    doc: str = "",
    *,
    optional: bool = False,
    affects_result: bool = True,
    key: str | None = None,
) -> Any:
    """A field that holds ``True`` or ``False``."""
    return field_of(default, doc, Scalar(bool, optional), affects_result, key)


def text(
    default: str | None = ABSENT,
    doc: str = "",
    *,
    optional: bool = False,
    literal: bool = False,
    affects_result: bool = True,
    key: str | None = None,
) -> Any:
    """A field that holds text. ``literal``: the command line is taken as it stands."""
    return field_of(default, doc, Scalar(str, optional), affects_result, key, literal=literal)


def choice(
    default: Any = ABSENT,
    doc: str = "",
    choices: tuple[Any, ...] = (),
    *,
    synonyms: Mapping[str, Any] | None = None,
    optional: bool = False,
    affects_result: bool = True,
    key: str | None = None,
) -> Any:
    """A field that holds one of a few words or integers. ``synonyms``: what people write → what a report then offers.

    Raises:
        TypeError: there are no choices, or one is neither text nor a number.
    """
    kinds = {type(each) for each in choices}
    if not kinds or not kinds <= {str, int, float}:
        raise TypeError(f"choice() takes words or numbers, not {choices!r}")
    kind = kinds.pop() if len(kinds) == 1 else object
    return field_of(default, doc, Scalar(kind, optional, choices, synonyms=synonyms or {}), affects_result, key)


def items(
    element: Any,
    doc: str = "",
    *,
    default: Any = ABSENT,
    at_least: int = 0,
    at_most: int | None = None,
    optional: bool = False,
    affects_result: bool = True,
    key: str | None = None,
) -> Any:
    """A field that holds a list, stored as a tuple: of what another field says, as ``items(number(at_least=0), "betas")``.

    ``at_least`` and ``at_most`` are about its length.
    """
    rule = Items(object, optional, element=rule_of(element), at_least=at_least, at_most=at_most)
    return field_of(default, doc, rule, affects_result, key)


def mapping(
    element: Any = None,
    doc: str = "",
    *,
    default: Any = ABSENT,
    optional: bool = False,
    affects_result: bool = True,
    key: str | None = None,
) -> Any:
    """A field that holds keys of any name, whose values are what another field says: ``mapping(number(), "loss weights")``."""
    rule = MappingOf(object, optional, element=Anything() if element is None else rule_of(element))
    return field_of(default, doc, rule, affects_result, key)


def anything(doc: str = "", *, default: Any = ABSENT, affects_result: bool = True, key: str | None = None) -> Any:
    """A field that holds any value or section. It is not checked."""
    return field_of(default, doc, Anything(object, optional=True), affects_result, key)


def either(
    *alternatives: Any,
    doc: str = "",
    default: Any = ABSENT,
    optional: bool = False,
    affects_result: bool = True,
    key: str | None = None,
) -> Any:
    """A field that holds what one of several fields say: ``either(integer(), choice(choices=("auto",)), doc="devices")``."""
    rule = Either(object, optional, alternatives=tuple(map(rule_of, alternatives)))
    return field_of(default, doc, rule, affects_result, key)


def computed(formula: Callable[..., Any], doc: str, *inputs: str) -> Any:
    """A field that follows from others and cannot be set; ``formula`` is called with the values of the dotted keys ``inputs``.

    ``doc`` says it in words, for messages and help: ``computed(inner_width, "4 * n_embd", "n_embd")``.
    """
    return dataclasses.field(init=False, metadata={"computed": formula, "inputs": inputs, "doc": doc})


def field_of(default: Any, doc: str, rule: Rule, affects_result: bool, key: str | None, **more: Any) -> Any:
    """A dataclass field with a rule."""
    return plain_field(default, {"rule": rule, "doc": doc, "affects_result": affects_result, **more}, key)


def plain_field(default: Any, metadata: dict[str, Any], key: str | None) -> Any:
    """A dataclass field; without a default it must be given, and may follow fields that have one."""
    metadata |= {} if key is None else {"key": key}
    if default is ABSENT:
        return dataclasses.field(metadata=metadata, kw_only=True)
    return dataclasses.field(default=freeze(default), metadata=metadata)


def rule_of(element: Any) -> Rule:
    """The rule that a field has, a section too, for an element of a list or a mapping.

    Raises:
        TypeError: it is no field with a rule.
    """
    metadata = element.metadata if isinstance(element, dataclasses.Field) else {}
    rule = metadata.get("rule", metadata.get("element"))
    if not isinstance(rule, Rule):
        raise TypeError(f"takes a field such as integer() or number(), not {element!r}")
    return rule
