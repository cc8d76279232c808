"""JSON Schema (2020-12) of a configuration class, for editors: the same rules, in their words. Standard library only.

Wherever a value is, ``${other.key}`` and ``???`` may stand too. ``markdownDescription`` and
``patternErrorMessage`` are read by editors' language servers; validators ignore what JSON Schema does not
know.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from gpt2hydra.config.keys import doc_of, fields_of, is_open, sections_of
from gpt2hydra.config.rules import Either, Items, MappingOf, Rule, Scalar
from gpt2hydra.config.sections import Section
from gpt2hydra.utils.formatting import show
from gpt2hydra.utils.immutable import thaw

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

REFERENCE = r"\$\{.+\}|^\?\?\?$"
"""What may stand in place of any value: OmegaConf's interpolation, or 'must be given'."""

REFERENCES: Schema = {"type": "string", "pattern": REFERENCE}

TYPES: Mapping[type, str] = {int: "integer", float: "number", bool: "boolean", str: "string"}


def with_reference(schema: Schema, rule: str) -> Schema:
    """``schema`` of something that is no text, or a reference. No ``anyOf``, so that an editor says which rule is broken."""
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    message = f"must be {rule}; or ${{another.key}}"
    return {**schema, "type": [*kinds, "string"], "pattern": REFERENCE, "patternErrorMessage": message}


def schema_of_rule(rule: Rule, definitions: dict[str, Schema]) -> Schema:
    """The values that obey ``rule``, and references."""
    schema = _schema_of_kind(rule, definitions)
    if rule.kind is str and not rule.choices:
        return {"type": ["string", "null"]} if rule.optional else schema
    if "type" not in schema:  # several kinds, or a few values
        return {"anyOf": [schema, *([{"type": "null"}] if rule.optional else []), REFERENCES]} if schema else {}
    if rule.optional:
        schema = {**schema, "type": [*([schema["type"]] if isinstance(schema["type"], str) else schema["type"]), "null"]}
    return with_reference(schema, str(rule))


def _schema_of_kind(rule: Rule, definitions: dict[str, Schema]) -> Schema:
    """The values other than null and references."""
    if isinstance(rule, Items):
        lengths = {"minItems": rule.at_least or None, "maxItems": rule.at_most}
        return {"type": "array", "items": schema_of_rule(rule.element, definitions), **_given(lengths)}
    if isinstance(rule, MappingOf):
        return {"type": "object", "additionalProperties": schema_of_rule(rule.element, definitions)}
    if isinstance(rule, Either):
        return {"anyOf": [_schema_of_kind(each, definitions) for each in rule.alternatives]}
    if isinstance(rule, Section):
        return reference_to(rule.config_class, definitions)
    if rule.choices:
        return {"enum": [*rule.choices]}
    if not isinstance(rule, Scalar):
        return {}
    limits = {"minimum": rule.at_least, "exclusiveMinimum": rule.above, "maximum": rule.at_most}
    return {"type": TYPES[rule.kind], **_given(limits)}


def _given(limits: Mapping[str, Any]) -> Schema:
    return {key: each for key, each in limits.items() if each is not None}


def reference_to(config_class: type[Any], definitions: dict[str, Schema]) -> Schema:
    """Where the keys of a class are described, which goes into ``definitions``."""
    name = definition_name(config_class)
    if name not in definitions:
        definitions[name] = {}  # its place, before that of its own sections
        definitions[name] = schema_of_class(config_class, definitions)
    return {"$ref": f"#/$defs/{name}"}


def definition_name(config_class: type[Any]) -> str:
    """The name of a class in ``$defs``. A class with a discriminator is another for each of its values."""
    values = [each.metadata["rule"].choices for each in fields_of(config_class) if each.metadata.get("discriminates")]
    return "-".join([config_class.__name__, *(str(value) for choices in values for value in choices)])


def schema_of_field(field: dataclasses.Field[Any], definitions: dict[str, Schema]) -> Schema:
    """The values of one field, its meaning and its default."""
    doc = field.metadata.get("doc", "")
    if nested := sections_of(field):
        schemas = [reference_to(each, definitions) for each in nested]
        if len(schemas) == 1 and not field.metadata.get("optional"):
            return {**schemas[0], "description": doc}
        return {"anyOf": [*schemas, *([{"type": "null"}] if field.metadata.get("optional") else [])], "description": doc}
    rule: Rule = field.metadata["rule"]
    schema = {**schema_of_rule(rule, definitions), "description": f"{doc}; {rule}"}
    default = field.default
    if default is dataclasses.MISSING:
        return {**schema, "markdownDescription": f"{doc}\n\n{rule}; must be given"}
    return {**schema, "default": thaw(default), "markdownDescription": f"{doc}\n\n{rule}; default `{show(default)}`"}


def schema_of_class(config_class: type[Any], definitions: dict[str, Schema]) -> Schema:
    """The keys of one class, or a reference in place of them; the classes of its sections go into ``definitions``."""
    fields = [field for field in fields_of(config_class) if field.init]  # what is computed cannot be set
    properties = {field.name: schema_of_field(field, definitions) for field in fields}
    keys = {"type": "object", "properties": properties, "additionalProperties": is_open(config_class)}
    description = doc_of(config_class) or config_class.__name__
    return {"description": description, **with_reference(keys, f"a section with the keys of {config_class.__name__}")}
