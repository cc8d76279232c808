"""How a field of a configuration class says what it may hold. Standard library only.

A field states its rule where it is declared, and everything else (checks, messages, the Hydra schema, help)
derives from that one place::

    n_head: int = integer(12, "attention heads of each layer", at_least=1, at_most=10_000)

A field without a default must be given. All of them take the options of :class:`Common`.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from gpt2hydra.config.errors import ABSENT
from gpt2hydra.config.rules import Anything, Either, Items, MappingOf, Rule, Scalar
from gpt2hydra.utils.immutable import freeze

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Common(TypedDict, total=False):
    """What every field can say."""

    optional: bool
    """Whether null may stand there."""
    affects_result: bool
    """Whether the value has a part in the result (:mod:`gpt2hydra.config.fingerprint`); by default it has."""
    key: str | None
    """Its name in YAML, where Python's is another."""


def integer(
    default: int | None = ABSENT, doc: str = "", *, at_least: int = 1, at_most: int | None = None, **common: Unpack[Common]
) -> Any:
    """A field that holds a true ``int`` between two bounds."""
    return value_field(default, doc, Scalar(int, at_least=at_least, at_most=at_most), common)


def number(
    default: float | None = ABSENT,
    doc: str = "",
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    **common: Unpack[Common],
) -> Any:
    """A field that holds a finite ``float``; an ``int`` is accepted and stored as ``float``."""
    return value_field(default, doc, Scalar(float, at_least=at_least, above=above, at_most=at_most), common)


def flag(default: bool | None = ABSENT, doc: str = "", **common: Unpack[Common]) -> Any:
    """A field that holds ``True`` or ``False``."""
    return value_field(default, doc, Scalar(bool), common)


def text(default: str | None = ABSENT, doc: str = "", *, literal: bool = False, **common: Unpack[Common]) -> Any:
    """A field that holds text. ``literal``: the command line is taken as it stands."""
    return value_field(default, doc, Scalar(str), common, literal=literal)


def choice(
    default: Any = ABSENT,
    doc: str = "",
    choices: tuple[Any, ...] = (),
    *,
    synonyms: Mapping[str, Any] | None = None,
    **common: Unpack[Common],
) -> Any:
    """A field that holds one of a few words or integers. ``synonyms``: what people write → what a report then offers.

    Raises:
        TypeError: there are no choices, or one is neither text nor a number.
    """
    kinds = {type(each) for each in choices}
    if not kinds or not kinds <= {str, int, float}:
        raise TypeError(f"choice() takes words or numbers, not {choices!r}")
    kind = kinds.pop() if len(kinds) == 1 else object
    return value_field(default, doc, Scalar(kind, choices=choices, synonyms=synonyms or {}), common)


def items(
    element: Any,
    doc: str = "",
    *,
    default: Any = ABSENT,
    at_least: int = 0,
    at_most: int | None = None,
    **common: Unpack[Common],
) -> Any:
    """A field that holds a list, stored as a tuple: of what another field says, as ``items(number(at_least=0), "betas")``.

    ``at_least`` and ``at_most`` are about its length.
    """
    return value_field(default, doc, Items(element=rule_of(element), at_least=at_least, at_most=at_most), common)


def mapping(element: Any = None, doc: str = "", *, default: Any = ABSENT, **common: Unpack[Common]) -> Any:
    """A field that holds keys of any name, whose values are what another field says: ``mapping(number(), "loss weights")``."""
    return value_field(default, doc, MappingOf(element=Anything() if element is None else rule_of(element)), common)


def anything(doc: str = "", *, default: Any = ABSENT, **common: Unpack[Common]) -> Any:
    """A field that holds any value or section. It is not checked."""
    return value_field(default, doc, Anything(optional=True), common)


def either(*alternatives: Any, doc: str = "", default: Any = ABSENT, **common: Unpack[Common]) -> Any:
    """A field that holds what one of several fields say: ``either(integer(), choice(choices=("auto",)), doc="devices")``."""
    return value_field(default, doc, Either(alternatives=tuple(map(rule_of, alternatives))), common)


def computed(formula: Callable[..., Any], doc: str, *inputs: str) -> Any:
    """A field that follows from others and cannot be set; ``formula`` is called with the values of the dotted keys ``inputs``.

    ``doc`` says it in words, for messages and help: ``computed(lambda n_embd: 4 * n_embd, "4 * n_embd", "n_embd")``.
    """
    return dataclasses.field(init=False, metadata={"computed": formula, "inputs": inputs, "doc": doc})


def value_field(default: Any, doc: str, rule: Rule, common: Common, **more: Any) -> Any:
    """A dataclass field with a rule."""
    rule = dataclasses.replace(rule, optional=common.get("optional", rule.optional))
    return plain_field(default, {"rule": rule, "doc": doc, **more}, common)


def plain_field(default: Any, metadata: Mapping[str, Any], common: Common) -> Any:
    """A dataclass field; without a default it must be given, and may follow fields that have one."""
    metadata = {**metadata, **metadata_of(common)}
    if default is ABSENT:
        return dataclasses.field(metadata=metadata, kw_only=True)
    return dataclasses.field(default=freeze(default), metadata=metadata)


def metadata_of(common: Common) -> dict[str, Any]:
    """What a field keeps of what all can say, but for ``optional``.

    Raises:
        TypeError: there is no such option.
    """
    given: dict[str, Any] = {"affects_result": True, **common}
    if "decides" in given:
        warnings.warn("decides= is now called affects_result=", DeprecationWarning, stacklevel=5)
        given["affects_result"] = given.pop("decides")
    unknown = next((name for name in given if name not in Common.__annotations__), None)
    if unknown is not None:
        raise TypeError(f"a field has no option {unknown!r}")
    return {name: value for name, value in given.items() if name != "optional" and value is not None}


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
