"""Fields of a configuration class, each with the rule for its values. Standard library only.

A field states its rule where it is declared. Checks, messages, the Hydra schema and help all derive from that
one place::

    n_head: int = integer(12, "attention heads of each layer", at_least=1, at_most=10_000)

A field without a default is required. Every field takes the options of :class:`CommonOptions`.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from gpt2hydra.config.errors import ABSENT
from gpt2hydra.config.value_rules import Anything, Either, Items, MappingOf, Rule, Scalar
from gpt2hydra.utils.immutable import freeze

if TYPE_CHECKING:
    from typing_extensions import Unpack


class CommonOptions(TypedDict, total=False):
    """Options that every field takes."""

    optional: bool
    """Whether null is allowed."""
    affects_result: bool
    """Whether the value affects the result (:mod:`gpt2hydra.config.fingerprint`); true by default."""
    key: str | None
    """The name in YAML, if it differs from the name in Python."""


def integer(
    default: int | None = ABSENT,
    doc: str = "",
    *,
    at_least: int = 1,
    at_most: int | None = None,
    **common: Unpack[CommonOptions],
) -> Any:
    """A field for a true ``int`` between two bounds."""
    return make_value_field(default, doc, Scalar(int, at_least=at_least, at_most=at_most), common)


def number(
    default: float | None = ABSENT,
    doc: str = "",
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    **common: Unpack[CommonOptions],
) -> Any:
    """A field for a finite ``float``; an ``int`` is accepted and stored as ``float``."""
    return make_value_field(default, doc, Scalar(float, at_least=at_least, above=above, at_most=at_most), common)


def flag(default: bool | None = ABSENT, doc: str = "", **common: Unpack[CommonOptions]) -> Any:
    """A field for ``True`` or ``False``."""
    return make_value_field(default, doc, Scalar(bool), common)


def text(default: str | None = ABSENT, doc: str = "", *, literal: bool = False, **common: Unpack[CommonOptions]) -> Any:
    """A field for text. ``literal``: an override's value is not parsed in Hydra's grammar."""
    return make_value_field(default, doc, Scalar(str), common, literal=literal)


def choice(
    default: Any = ABSENT,
    doc: str = "",
    choices: tuple[Any, ...] = (),
    *,
    synonyms: Mapping[str, Any] | None = None,
    **common: Unpack[CommonOptions],
) -> Any:
    """A field for one of a few words or numbers. ``synonyms``: what people write → the suggested choice.

    Raises:
        TypeError: there are no choices, or one is neither text nor a number.
    """
    kinds = {type(each) for each in choices}
    if not kinds or not kinds <= {str, int, float}:
        raise TypeError(f"choice() takes words or numbers, not {choices!r}")
    kind = kinds.pop() if len(kinds) == 1 else object
    return make_value_field(default, doc, Scalar(kind, choices=choices, synonyms=synonyms or {}), common)


def items(
    element: Any,
    doc: str = "",
    *,
    default: Any = ABSENT,
    at_least: int = 0,
    at_most: int | None = None,
    **common: Unpack[CommonOptions],
) -> Any:
    """A field for a list, stored as a tuple; elements obey a rule: ``items(number(at_least=0), "betas")``.

    ``at_least`` and ``at_most`` limit its length.
    """
    return make_value_field(default, doc, Items(element=rule_of(element), at_least=at_least, at_most=at_most), common)


def mapping(element: Any = None, doc: str = "", *, default: Any = ABSENT, **common: Unpack[CommonOptions]) -> Any:
    """A field for a mapping with any keys; each value obeys a rule: ``mapping(number(), "loss weights")``."""
    return make_value_field(default, doc, MappingOf(element=Anything() if element is None else rule_of(element)), common)


def anything(doc: str = "", *, default: Any = ABSENT, **common: Unpack[CommonOptions]) -> Any:
    """A field for any value or section. It is not checked."""
    return make_value_field(default, doc, Anything(optional=True), common)


def either(*alternatives: Any, doc: str = "", default: Any = ABSENT, **common: Unpack[CommonOptions]) -> Any:
    """A field that obeys one of several rules: ``either(integer(), choice(choices=("auto",)), doc="N")``."""
    return make_value_field(default, doc, Either(alternatives=tuple(map(rule_of, alternatives))), common)


def computed(formula: Callable[..., Any], doc: str, *inputs: str) -> Any:
    """A field that is computed and cannot be set; ``formula`` gets the values of the dotted keys ``inputs``.

    ``doc`` is the formula for messages: ``computed(lambda n_embd: 4 * n_embd, "4 * n_embd", "n_embd")``.
    """
    return dataclasses.field(init=False, metadata={"computed": formula, "inputs": inputs, "doc": doc})


def make_value_field(default: Any, doc: str, rule: Rule, common: CommonOptions, **more: Any) -> Any:
    """A dataclass field with a rule."""
    rule = dataclasses.replace(rule, optional=common.get("optional", rule.optional))
    return make_field(default, {"rule": rule, "doc": doc, **more}, common)


def make_field(default: Any, metadata: Mapping[str, Any], common: CommonOptions) -> Any:
    """A dataclass field. Without a default it is required, and may come after fields that have one."""
    metadata = {**metadata, **metadata_of(common)}
    if default is ABSENT:
        return dataclasses.field(metadata=metadata, kw_only=True)
    return dataclasses.field(default=freeze(default), metadata=metadata)


def metadata_of(common: CommonOptions) -> dict[str, Any]:
    """Metadata from the common options, without ``optional``.

    Raises:
        TypeError: an option is unknown.
    """
    given: dict[str, Any] = {"affects_result": True, **common}
    if "decides" in given:
        warnings.warn("decides= is now called affects_result=", DeprecationWarning, stacklevel=5)
        given["affects_result"] = given.pop("decides")
    unknown = next((name for name in given if name not in CommonOptions.__annotations__), None)
    if unknown is not None:
        raise TypeError(f"a field has no option {unknown!r}")
    return {name: value for name, value in given.items() if name != "optional" and value is not None}


def rule_of(element: Any) -> Rule:
    """The rule of a field, also of a section, for the elements of a list or a mapping.

    Raises:
        TypeError: it is not a field with a rule.
    """
    metadata = element.metadata if isinstance(element, dataclasses.Field) else {}
    rule = metadata.get("rule", metadata.get("element"))
    if not isinstance(rule, Rule):
        raise TypeError(f"takes a field such as integer() or number(), not {element!r}")
    return rule
