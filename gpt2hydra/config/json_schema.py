"""JSON Schema (2020-12) of a configuration class, for editors: the same rules, in their words. Standard library only.

Wherever a value is, ``${other.key}`` and ``???`` may stand too. ``markdownDescription`` and ``patternErrorMessage`` are read by
editors' language servers; validators ignore what JSON Schema does not know.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from gpt2hydra.config.fields import Rule
from gpt2hydra.config.keys import fields_of
from gpt2hydra.config.validation import Checked
from gpt2hydra.utils.formatting import show

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

REFERENCE = r"\$\{.+\}|^\?\?\?$"
"""What may stand in place of any value: OmegaConf's interpolation, or 'must be given'."""

TYPES: Mapping[type, str] = {int: "integer", float: "number", bool: "boolean", str: "string"}


def with_reference(schema: Schema, rule: str) -> Schema:
    """``schema`` of something that is no text, or a reference. No ``anyOf``, so that an editor says which rule is broken."""
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    message = f"must be {rule}; or ${{another.key}}"
    return {**schema, "type": [*kinds, "string"], "pattern": REFERENCE, "patternErrorMessage": message}


def schema_of_rule(rule: Rule) -> Schema:
    """The values that obey ``rule``, and references."""
    null = ["null"] if rule.optional else []
    if rule.choices:
        values: list[Any] = [*rule.choices, *([None] if rule.optional else [])]
        return {"anyOf": [{"enum": values}, {"type": "string", "pattern": REFERENCE}]}
    if rule.kind is str:
        return {"type": ["string", *null] if null else "string"}
    limits = {"minimum": rule.at_least, "exclusiveMinimum": rule.above, "maximum": rule.at_most}
    schema: Schema = {"type": [TYPES[rule.kind], *null], **{key: each for key, each in limits.items() if each is not None}}
    return with_reference(schema, str(rule))


def schema_of_field(field: dataclasses.Field[Any]) -> Schema:
    """The values of one field, its meaning and its default."""
    doc = field.metadata.get("doc", "")
    if "section" in field.metadata:
        return {"$ref": f"#/$defs/{field.metadata['section'].__name__}", "description": doc}
    if "rule" not in field.metadata:  # a plain field of somebody's own class
        return {}
    rule: Rule = field.metadata["rule"]
    schema = {**schema_of_rule(rule), "description": f"{doc}; {rule}"}
    default = field.default
    if default is dataclasses.MISSING:
        return {**schema, "markdownDescription": f"{doc}\n\n{rule}; must be given"}
    return {**schema, "default": default, "markdownDescription": f"{doc}\n\n{rule}; default `{show(default)}`"}


def schema_of_class(config_class: type[Checked], definitions: dict[str, Schema]) -> Schema:
    """The keys of one class, or a reference in place of them; the classes of its sections go into ``definitions``."""
    properties = {}
    for field in fields_of(config_class):
        if not field.init:
            continue  # computed: it cannot be set
        nested = field.metadata.get("section")
        if nested is not None and nested.__name__ not in definitions:
            definitions[nested.__name__] = {}  # its place, before that of its own sections
            definitions[nested.__name__] = schema_of_class(nested, definitions)
        properties[field.name] = schema_of_field(field)
    keys = {"type": "object", "properties": properties, "additionalProperties": False}
    description = (config_class.__doc__ or config_class.__name__).strip().partition("\n")[0]
    return {"description": description, **with_reference(keys, f"a section with the keys of {config_class.__name__}")}
